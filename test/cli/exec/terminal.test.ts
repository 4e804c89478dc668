// `nix-upload exec` on a real pseudo-terminal, which script(1) makes, and Ctrl-C on it: at any time, nothing is left behind.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { until } from '../../integration/daemon.ts'
import { makeSite, NIX_UPLOAD, type Site } from '../../integration/site.ts'
import { build } from '../cli.ts'
import { building, leftIn, rootsLeft } from './bed.ts'

beforeAll(build)

const TIMEOUT = { timeout: 60_000 }
const CTRL_C = '\u0003'
const tmp = (site: Site) => site.env.TMPDIR ?? ''

/** What is there of an `exec` that has ended: nothing. */
const left = (site: Site) => [leftIn(tmp(site)), readdirSync(tmp(site)), rootsLeft(site)]
const NOTHING = [[], [], []]

/** How `nix-upload exec` gets a signal for all of its process group. */
const WAYS = {
  'Ctrl-C on a terminal': (site: Site, line: string, env: Record<string, string>) => {
    const child = spawn('script', ['--quiet', '--return', '--command', `exec ${line}`, '/dev/null'], {
      env: { ...env, SHELL: '/bin/sh' },
      cwd: site.nix.dir,
    })
    return { child, interrupt: () => child.stdin.write(CTRL_C) }
  },
  'SIGINT for the process group': (site: Site, line: string, env: Record<string, string>) => {
    const child = spawn('sh', ['-c', `exec ${line}`], { env, cwd: site.nix.dir, detached: true })
    return { child, interrupt: () => process.kill(-(child.pid ?? 0), 'SIGINT') }
  },
}

/** Starts `exec` with a command; `before` comes first on its PATH. */
function start(site: Site, way: keyof typeof WAYS, command: string, before?: string) {
  const { NIX_UPLOAD_SPOOL: _, ...env } = site.env
  const PATH = [...(before === undefined ? [] : [before]), env.PATH].join(delimiter)
  const line = `${NIX_UPLOAD} exec --to file://${site.cache} -- ${command}`
  const { child, interrupt } = WAYS[way](site, line, { ...env, PATH })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  return { interrupt, ...follow(child) }
}

function follow(child: ChildProcess) {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (output += data))
  const exited = once(child, 'close').then(([code, signal]) => (signal === null ? code : signal))
  const shows = (text: string) =>
    until(
      () => output.includes(text),
      () => `${text} on the terminal: ${output}`,
    )
  return { exited, shows, output: () => output }
}

/** A directory with a `nix` that takes its time, so that a signal comes while it is asked. */
function slowNix(site: Site): { directory: string; asked: string } {
  const [directory, asked] = [join(site.nix.dir, 'slow'), join(site.nix.dir, 'asked')]
  mkdirSync(directory)
  const nix = join(directory, 'nix')
  writeFileSync(nix, `#!/bin/sh\n: > ${asked}\nsleep 2\nexec ${site.nix.version.bin}/nix "$@"\n`)
  chmodSync(nix, 0o755)
  return { directory, asked }
}

describe.each(['Ctrl-C on a terminal', 'SIGINT for the process group'] as const)('%s', (way) => {
  test('before the command is started: it is not started', TIMEOUT, async () => {
    const site = await makeSite()
    const { directory, asked } = slowNix(site)
    const started = join(site.nix.dir, 'started')
    const running = start(site, way, `touch ${started}`, directory)
    await until(() => existsSync(asked), 'a question for Nix')
    running.interrupt()
    expect(await running.exited, running.output()).toBe(130)
    expect(running.output()).toContain('nix-upload: nothing was started, because of SIGINT')
    expect(existsSync(started)).toBe(false)
    expect(left(site)).toEqual(NOTHING)
  })

  test('while the command runs: it ends, and nothing is left', TIMEOUT, async () => {
    const site = await makeSite()
    const running = start(site, way, `sh -c 'echo running; exec sleep 60'`)
    await running.shows('running')
    running.interrupt()
    expect(await running.exited, running.output()).toBe(130)
    expect(running.output()).toContain('nothing was queued, since the command ended with 130')
    expect(left(site)).toEqual(NOTHING)
  })

  test('what was built by then is uploaded', TIMEOUT, async () => {
    const site = await makeSite()
    const command = (await building(site, { name: 'app' })).join(' ')
    const running = start(site, way, `sh -c '${command} > path; echo all is there; exec sleep 60'`)
    await running.shows('all is there')
    running.interrupt()
    expect(await running.exited, running.output()).toBe(130)
    expect(running.output()).toContain('1 uploaded; the command ended with 130')
    expect(left(site)).toEqual(NOTHING)
  })
})

test('Ctrl-C in the moment before the command is there reaches it, too', async () => {
  // The signal is heard of once the command runs: it was sent before, and so the terminal did not send it to the command.
  const child = new URL('../../../src/cli/exec/child.ts', import.meta.url)
  const script = `
    import { runCommand } from '${child}'
    process.on('SIGINT', () => undefined)
    process.kill(process.pid, 'SIGINT')
    process.exitCode = await runCommand(['sleep', '60'], {})`
  const command = `exec '${process.execPath}' --input-type=module --eval "$SCRIPT"`
  const args = ['--quiet', '--return', '--command', command, '/dev/null']
  const running = follow(spawn('script', args, { env: { ...process.env, SCRIPT: script, SHELL: '/bin/sh' } }))
  expect(await running.exited, running.output()).toBe(130)
})

test('a Ctrl-C that is heard of when all is over leaves the exit code as it is', async () => {
  const early = new URL('../../../src/cli/exec/early-signals.ts', import.meta.url)
  const script = `
    import 'proper-lockfile'
    import { EarlySignals } from '${early}'
    new EarlySignals().endNow()
    process.exitCode = 7
    process.kill(process.pid, 'SIGINT')
    setTimeout(() => undefined, 60_000)`
  const running = follow(spawn(process.execPath, ['--input-type=module', '--eval', script]))
  expect(await running.exited, running.output()).toBe(7)
})
