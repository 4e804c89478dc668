import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nixVersions } from '../support/nix-versions.mjs'
import { type RunResult, runProgram } from '../support/run.ts'

const TOUR = join(import.meta.dirname, 'tour.ts')
const versions = await nixVersions()

let dir: string
beforeAll(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'nix-upload-tour-')))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

function environment(bin: string): Record<string, string> {
  return { HOME: join(dir, 'home'), PATH: [bin, process.env.PATH].join(delimiter) }
}

function runTour(bin: string, folder: string): Promise<RunResult> {
  return runProgram(process.execPath, [TOUR, folder], { env: environment(bin) })
}

describe.each(versions)('the tour with $name', ({ name, version, bin }) => {
  let tour: RunResult
  beforeAll(async () => {
    tour = await runTour(bin, join(dir, version))
  })

  test('goes through and says so', async () => {
    const { stdout, stderr, exitCode } = tour
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 })
    for (const built of ['greeting', 'icons', 'library', 'hello', 'bundle']) {
      // On a busy machine another job's step can come in between; then the line goes on further down, behind a "…".
      const steps = stdout.match(new RegExp(`^  ${built}-1.0 .*$`, 'gm'))?.join(' ')
      expect(steps).toMatch(/ new\/ .* s.* → cur\/ .* s.* → done\/ .* s/)
    }
    expect(stdout.match(/ → done\//g)).toHaveLength(5)
    expect(stdout).toContain(`with ${name}\n`)
    expect(stdout).toContain('fetched, all 5')
    expect(stdout).toContain(
      "refused, since the paths are not signed by any of the keys in 'trusted-public-keys'",
    )
    expect(stdout).toContain('All of that worked')
    // No terminal, no colours.
    expect(stdout).not.toContain('\u001b')
  })

  test('leaves the home directory as it was', async () => {
    await expect(readdir(join(dir, 'home'))).rejects.toThrow('ENOENT')
  })

  test('says what to type next, and that works', async () => {
    const commands = tour.stdout.slice(tour.stdout.indexOf('To go on by hand')).replace(/.*/, '')
    const cwd = join(import.meta.dirname, '../..')
    const typed = await runProgram('sh', ['-ec', commands], { env: environment(bin), cwd })
    expect(typed).toMatchObject({ exitCode: 0 })
    expect(typed.stdout.match(/^new .*-1\.0\.json$/gm)).toHaveLength(5)
    expect(typed.stderr).toContain('nix-upload: 5 done')
    expect(await readdir(join(dir, version, 'spool/done'))).toHaveLength(10)
  })
})

test('going on by hand touches nothing of this machine, whatever is set in the shell', async () => {
  const [{ bin } = { bin: '' }] = versions
  const folder = join(dir, 'foreign')
  expect(await runTour(bin, folder)).toMatchObject({ exitCode: 0 })
  const foreign = join(dir, 'not-to-be-touched')
  const set = ['SPOOL', 'GCROOTS', 'CONFIG'].map((name) => [`NIX_UPLOAD_${name}`, foreign])
  const env = {
    ...environment(bin),
    ...Object.fromEntries(set),
    NIX_REMOTE: 'daemon',
    NIX_CONFIG: 'post-build-hook = /no/hook',
    NIX_STORE_DIR: foreign,
    NIX_USER_CONF_FILES: foreign,
  }
  const line = `. ${folder}/env; nix-upload status --json; nix-build --no-out-link test/tour/packages.nix --argstr edition three`
  const cwd = join(import.meta.dirname, '../..')
  const { stdout, stderr, exitCode } = await runProgram('sh', ['-ec', line], { env, cwd })
  expect(exitCode, stderr).toBe(0)
  expect(stdout).toContain(`"spool": "${folder}/spool"`)
  expect(stdout).toContain(`"to": "file://${folder}/spool-cache"`)
  expect(await readdir(join(folder, 'spool/new'))).not.toEqual([])
  await expect(readdir(foreign)).rejects.toThrow('ENOENT')
})

test('a tour takes the place of an earlier one', async () => {
  const folder = join(dir, 'twice')
  const [{ bin } = { bin: '' }] = versions
  expect(await runTour(bin, folder)).toMatchObject({ exitCode: 0 })
  expect(await runTour(bin, folder)).toMatchObject({ exitCode: 0 })
  expect(await readdir(join(folder, 'spool/done'))).toHaveLength(5)
})

describe('the tour says what is wrong, and exits with 1', () => {
  const [{ bin } = { bin: '' }] = versions

  test('when the uploads are not signed', async () => {
    // A Nix whose keys don't fit each other.
    const forgetful = join(dir, 'forgetful')
    await mkdir(forgetful)
    for (const name of (await readdir(bin)).filter((name) => name !== 'nix-store'))
      await symlink(join(bin, name), join(forgetful, name))
    const script = `#!/bin/sh
'${bin}/nix-store' "$@" || exit
case $1 in --generate-binary-cache-key) '${bin}/nix-store' "$1" "$2" "$3.other" "$4" ;; esac
`
    await writeFile(join(forgetful, 'nix-store'), script)
    await chmod(join(forgetful, 'nix-store'), 0o755)
    const { stderr, exitCode } = await runTour(forgetful, join(dir, 'unsigned'))
    expect(exitCode).toBe(1)
    expect(stderr).toContain("The tour failed: the paths can't be fetched from the cache")
  })

  test('when the folder is somebody else’s, which it leaves alone', async () => {
    const folder = join(dir, 'mine')
    await mkdir(folder)
    await writeFile(join(folder, 'env'), 'my own')
    const { stderr, exitCode } = await runTour(bin, folder)
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`${folder} is no folder of an earlier tour, so it is left alone`)
    expect(await readFile(join(folder, 'env'), 'utf8')).toBe('my own')
  })

  test('when the daemon of an earlier tour is still at work', async () => {
    const folder = join(dir, 'used')
    expect(await runTour(bin, folder)).toMatchObject({ exitCode: 0 })
    const command = `. '${folder}/env'; exec nix-upload watch`
    const daemon = execa('sh', ['-c', command], { env: environment(bin), extendEnv: false, reject: false })
    // Its first line of log; by then it has the spool's lock and says so in its report.
    await new Promise((resolve) => daemon.stderr.once('data', resolve))
    const { stderr } = await runTour(bin, folder)
    daemon.kill('SIGTERM')
    await daemon
    expect(stderr).toMatch(new RegExp(`still at work in ${folder}; type: kill ${daemon.pid}$`, 'm'))
    expect(await readdir(join(folder, 'spool/done'))).toHaveLength(5)
  })

  test('when the folder has a blank in its name', async () => {
    const { stderr, exitCode } = await runTour(bin, join(dir, 'a b'))
    expect(exitCode).toBe(1)
    expect(stderr).toContain('npm start -- /tmp/tour')
  })
})
