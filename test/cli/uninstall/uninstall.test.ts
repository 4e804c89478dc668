// `nix-upload uninstall` of what a user's own `init` made. The machine's is in test/systemd and test/deb, booted.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { versions } from '../../delivery/bed.ts'
import { HELLO } from '../../hook/bed.ts'
import { NIX_UPLOAD } from '../../integration/site.ts'
import { tempDir } from '../../spool/temp-spool.ts'
import { type RunResult, runProgram } from '../../support/run.ts'
import { build } from '../cli.ts'

beforeAll(build)

/** Where `init` has been, with the hook in a nix.conf. */
async function installed(): Promise<{ dir: string; run: (...args: string[]) => Promise<RunResult> }> {
  const dir = tempDir()
  const env = {
    PATH: `${versions.at(-1)?.bin}:${process.env.PATH}`,
    HOME: dir,
    NIX_CONF_DIR: join(dir, 'conf'),
    NIX_UPLOAD_GCROOTS: join(dir, 'gcroots'),
    NIX_UPLOAD_CONFIG: join(dir, 'etc/config.toml'),
    NO_COLOR: '1',
  }
  // init and uninstall take the variable for --config, as all commands do.
  const run = (...args: string[]) => runProgram(process.execPath, [NIX_UPLOAD, ...args], { cwd: dir, env })
  mkdirSync(join(dir, 'conf'))
  const made = await run('init', '--spool', join(dir, 'spool'), '--to', `file://${dir}/cache`)
  expect(made.exitCode, made.stderr).toBe(0)
  writeFileSync(join(dir, 'conf/nix.conf'), `cores = 1\npost-build-hook = ${dir}/etc/post-build-hook\n`)
  return { dir, run }
}

const hook = (dir: string) => {
  const env = { PATH: '/usr/bin:/bin', OUT_PATHS: HELLO }
  return runProgram(join(dir, 'etc/post-build-hook'), [], { env, cwd: '/' })
}

test('the hook queues nothing and fails no build, nix.conf is as before, and all else stays', async () => {
  const { dir, run } = await installed()
  const { stdout, stderr, exitCode } = await run('uninstall')
  expect(exitCode, stderr).toBe(0)
  expect(stderr).toContain(`installed a hook that does nothing: ${dir}/etc/post-build-hook\n`)
  expect(readFileSync(join(dir, 'conf/nix.conf'), 'utf8')).toBe('cores = 1\n')
  expect(await hook(dir)).toMatchObject({
    exitCode: 0,
    stderr: expect.stringMatching(/^nix-upload: not queued: nix-upload was uninstalled\./),
  })
  expect(readdirSync(join(dir, 'spool/new'))).toEqual([])
  for (const path of ['spool', 'cache', 'etc/cache.key', 'etc/config.toml']) {
    expect(existsSync(join(dir, path)), path).toBe(true)
    expect(stdout, path).toContain(join(dir, path.replace('config.toml', '')))
  }
  expect((await run('uninstall')).exitCode).toBe(0)
  expect((await run('init', '--yes')).exitCode).toBe(0)
  expect((await hook(dir)).stdout).toMatch(/^nix-upload: queued /)
})

test('while jobs wait it refuses with 75, unless it is told', async () => {
  const { dir, run } = await installed()
  await hook(dir)
  const before = readFileSync(join(dir, 'etc/post-build-hook'), 'utf8')
  const refused = await run('uninstall')
  expect(refused).toMatchObject({ exitCode: 75, stderr: expect.stringMatching(/1 job waits in .*--force/) })
  expect(readFileSync(join(dir, 'etc/post-build-hook'), 'utf8')).toBe(before)
  const { stdout, exitCode } = await run('uninstall', '--force')
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/spool, with 1 job whose paths stay protected from garbage collection/)
  expect(readdirSync(join(dir, 'spool/new'))).toHaveLength(1)
})

test('--dry-run changes nothing, and says what would be done', async () => {
  const { dir, run } = await installed()
  const { stdout, exitCode } = await run('uninstall', '--dry-run', '--purge')
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/^would remove post-build-hook from .*nix\.conf$/m)
  expect(stdout).toMatch(/^would remove .*\/spool with its content$/m)
  expect(stdout).not.toContain('is still')
  expect(readFileSync(join(dir, 'conf/nix.conf'), 'utf8')).toContain('post-build-hook')
  expect((await hook(dir)).stdout).toMatch(/^nix-upload: queued /)
})

test('--purge takes spool, GC roots, configuration and key along, and leaves the cache', async () => {
  const { dir, run } = await installed()
  const { stderr, exitCode } = await run('uninstall', '--purge')
  expect(exitCode, stderr).toBe(0)
  expect(readdirSync(dir).sort()).toEqual(['cache', 'conf', 'etc'])
  expect(readdirSync(join(dir, 'etc'))).toEqual(['cache.pub', 'post-build-hook'])
})

test('a configuration with a mistake keeps nobody from leaving', async () => {
  const { dir, run } = await installed()
  writeFileSync(join(dir, 'etc/config.toml'), 'spool = 1\n')
  const { stderr, exitCode } = await run('uninstall')
  expect(exitCode, stderr).toBe(0)
  expect((await hook(dir)).exitCode).toBe(0)
})
