// "Operate" and "Recover" of README.md, typed as printed, where README.md says that they can be tried: in the tour's spool.

import { spawn } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { build } from '../cli/cli.ts'
import { until } from '../integration/daemon.ts'
import { nixVersions } from '../support/nix-versions.mjs'
import { must, runProgram } from '../support/run.ts'
import { Shell, typeSection } from './readme-page.ts'

let dir: string
let env: Record<string, string>
let shell: Shell
let stopDaemon = async () => {}

beforeAll(async () => {
  await build()
  dir = await realpath(await mkdtemp(join(tmpdir(), 'nix-upload-readme-')))
  const { bin } = (await nixVersions()).at(-1) ?? { bin: '' }
  env = { HOME: join(dir, 'home'), PATH: [bin, process.env.PATH].join(delimiter) }
  // As the checkout looks after `npm start`, without touching a tour that is there.
  symlinkSync(join(import.meta.dirname, '..'), join(dir, 'test'))
  const tour = [join(import.meta.dirname, 'tour.ts'), join(dir, 'tour')]
  must(await runProgram(process.execPath, tour, { env }), 'make the tour')
  shell = new Shell({ cwd: dir, env })
})

afterAll(async () => {
  await stopDaemon()
  await rm(dir, { recursive: true, force: true })
})

const inSpool = (path = '') => join(dir, 'tour/spool', path)
const jobs = (state: string, part = '') => readdirSync(inSpool(state)).filter((name) => name.includes(part))
const gcroots = () => join(dir, 'tour/nix/var/gcroots/nix-upload')
const text = (state: string, part: string) =>
  readFileSync(inSpool(join(state, jobs(state, part)[0] ?? '')), 'utf8')
/** Its GC roots go last: until then the daemon has the job in hand (T4 of docs/SPOOL.md). */
const isDone = () => jobs('done', 'hello').length === 1 && readdirSync(gcroots()).length === 0
const delivered = () => until(isDone, 'hello to be delivered')
const inCache = (path = '') => join(dir, 'tour/spool-cache', path)
const narinfos = () => readdirSync(inCache()).filter((name) => name.endsWith('.narinfo'))

/** A person's `mv`. */
function move(part: string, from: string, to: string): void {
  for (const name of jobs(from, part)) renameSync(inSpool(join(from, name)), inSpool(join(to, name)))
}

function startDaemon(): void {
  const script = shell.script('exec nix-upload watch')
  const daemon = execa('sh', ['-c', script], {
    cwd: dir,
    env,
    extendEnv: false,
    stdio: 'ignore',
    reject: false,
  })
  stopDaemon = async () => {
    daemon.kill('SIGTERM')
    await daemon
  }
}

/** Types a line on a terminal, which script(1) makes, and a key once something is on the screen. */
async function onTerminal(line: string, awaited: RegExp, key: string): Promise<void> {
  const args = ['--quiet', '--return', '--command', shell.script(line), '/dev/null']
  const child = spawn('script', args, { cwd: dir, env: { ...env, SHELL: '/bin/sh', TERM: 'xterm' } })
  const ended = new Promise((resolve) => child.once('close', resolve))
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  const said = () => `${awaited} in ${JSON.stringify(output)}`
  await until(() => awaited.test(output), said)
  child.stdin.write(key)
  expect(await ended, output).toBe(0)
}

test('Operate', async () => {
  await typeSection(
    'Operate',
    {
      '. tour/env': async (type, line) => {
        await type()
        shell.enter(line)
      },
      'nix-upload status': async (type) => {
        expect((await type()).stdout).toMatch(/^done\/ +5$/m)
      },
      'nix-upload status --watch': (_, line) => onTerminal(line, /done\/ +5/, 'q'),
      'nix-upload list': async (type) => {
        expect((await type()).stdout.match(/^done .*\.json$/gm)).toHaveLength(5)
      },
      'nix-upload show hello': async (type) => {
        expect((await type()).stdout).toMatch(/^job +\S+-hello-1\.0\.json\nstate +done$/m)
      },
      'nix-upload pause': async (type) => {
        await type()
        expect(existsSync(inSpool('paused'))).toBe(true)
      },
      'nix-upload resume': async (type) => {
        await type()
        expect(existsSync(inSpool('paused'))).toBe(false)
      },
      'nix-build -o tour/result test/tour/packages.nix': async (type) => {
        expect((await type()).stdout).toMatch(/-bundle-1\.0$/)
      },
      'nix-upload enqueue tour/result': async (type) => {
        await type()
        expect(jobs('new', 'bundle')).toHaveLength(1)
      },
      'nix-upload drain': async (type) => {
        await type()
        expect([jobs('new'), jobs('cur'), jobs('done').length]).toEqual([[], [], 6])
      },
      'nix-upload wait --timeout 10m': async (type) => {
        move('hello', 'done', 'new')
        startDaemon()
        await type()
        expect(jobs('done', 'hello')).toHaveLength(1)
      },
      'cd "${NIX_UPLOAD_SPOOL:-/var/spool/nix-upload}"': async (type, line) => {
        await type()
        shell.enter(line)
        expect((await shell.run('pwd')).stdout).toBe(inSpool())
      },
      'ls new failed': async (type) => {
        await writeFile(inSpool('failed/given-up.json'), '{}')
        expect((await type()).stdout).toBe('failed:\ngiven-up.json\n\nnew:')
        rmSync(inSpool('failed/given-up.json'))
      },
      'cat done/*hello*': async (type) => {
        expect((await type()).stdout).toContain('"state": "done"')
      },
      'touch paused': async (type) => {
        await type()
        expect((await shell.run('nix-upload status')).stdout).toMatch(/^spool .*paused/m)
      },
      'rm paused': async (type) => {
        await type()
        expect(existsSync(inSpool('paused'))).toBe(false)
      },
      'mv done/*hello* new/': async (type) => {
        const before = text('done', 'hello')
        await type()
        await delivered()
        expect(text('done', 'hello')).not.toBe(before)
      },
    },
    shell.run,
  )
})

test('Recover', async () => {
  const [hello = ''] = /\/\S+-hello-1\.0(?=")/.exec(text('done', 'hello')) ?? []
  const content = readFileSync(hello, 'utf8')
  chmodSync(hello, 0o644)
  const loseCache = () => {
    // What says that it is a cache is left, as the log asks for where a folder is begun anew.
    for (const name of readdirSync(inCache()).filter((name) => name !== 'nix-cache-info'))
      rmSync(inCache(name), { recursive: true })
  }
  await typeSection(
    'Recover',
    {
      'nix-upload list failed': async (type) => {
        // Bytes that rotted on the disk.
        await writeFile(hello, 'no hello')
        loseCache()
        move('hello', 'done', 'new')
        await until(() => jobs('failed', 'hello').length === 1, 'hello to be given up')
        expect((await type()).stdout).toMatch(
          /hello.*the content of .* in the local store is not what was built/,
        )
      },
      'nix-upload requeue --all': async (type) => {
        await writeFile(hello, content)
        await type()
        await delivered()
      },
      'nix-upload requeue hello': async (type) => {
        move('hello', 'done', 'failed')
        await type()
        await delivered()
      },
      'mv failed/*hello* new/': async (type) => {
        move('hello', 'done', 'failed')
        await type()
        await delivered()
      },
      'mv done/*.json new/': async (_, line) => {
        loseCache()
        const { exitCode, stderr } = await shell.run(line)
        // The page says so: mv renames a file and then looks at it, which by then the daemon may have.
        if (exitCode !== 0)
          expect(stderr).toMatch(/^(mv: cannot stat 'new\/[^']+': No such file or directory\n?)+$/)
        await until(() => isDone() && jobs('done').length === 6, 'all to be delivered')
        expect(narinfos()).toHaveLength(5)
      },
      'nix-upload backfill --since 2d': async (type, line) => {
        // As after a build without the hook.
        rmSync(inSpool(join('done', jobs('done', 'hello')[0] ?? '')))
        rmSync(inCache(`${basename(hello).slice(0, 32)}.narinfo`))
        expect((await shell.run(`${line} --dry-run`)).stdout).toMatch(/-hello-1\.0$/m)
        expect(jobs('done', 'hello')).toEqual([])
        await type()
        await delivered()
      },
      'nix-upload forget backup': async (type) => {
        // Nothing waits for one of that name here.
        expect((await type()).stdout).toBe('')
        expect((await shell.run('nix-upload forget default')).stderr).toContain('is configured')
      },
    },
    shell.run,
  )
})
