// The built command line, run as people run it, on spools of its own and without Nix.

import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { lock } from 'proper-lockfile'
import { GcRoots } from '../../src/nix/gc-roots.ts'
import { openSpool } from '../../src/spool/layout.ts'
import { storePath, type TempSpool, tempDir } from '../spool/temp-spool.ts'
import { type RunOptions, type RunResult, runProgram } from '../support/run.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const LAUNCHER = join(ROOT, 'bin/nix-upload')

/** A spool, a store, a GC-root directory and a configuration of one's own. */
export interface Bench extends TempSpool {
  store: string
  configFile: string
  env: Record<string, string>
  /** Runs nix-upload; its environment says where all of these are. */
  run(args: string[], options?: RunOptions): Promise<RunResult>
}

/** @param config The configuration file's content. */
export function bench(config = ''): Bench {
  const dir = tempDir()
  const [store, configFile] = [join(dir, 'store'), join(dir, 'config.toml')]
  const roots = new GcRoots(join(dir, 'gcroots'))
  roots.prepare()
  mkdirSync(store)
  writeFileSync(configFile, config)
  const env = {
    // Nothing is there: no Nix, though the machine may have one.
    PATH: join(dir, 'bin'),
    HOME: dir,
    NIX_STORE_DIR: store,
    NIX_UPLOAD_SPOOL: join(dir, 'spool'),
    NIX_UPLOAD_GCROOTS: join(dir, 'gcroots'),
  }
  const run: Bench['run'] = ([command = '', ...args], options = {}) => {
    // Whatever is in /etc is no concern of the tests.
    const own = command === '' || command.startsWith('-') ? [] : ['--config', configFile]
    const argv = [LAUNCHER, ...(command === '' ? [] : [command]), ...own, ...args]
    return runProgram(process.execPath, argv, { cwd: dir, ...options, env: { ...env, ...options.env } })
  }
  return { dir, spool: openSpool(join(dir, 'spool')), roots, store, configFile, env, run }
}

/** Makes a store path with a file in it. */
export function addToStore({ store }: Bench, name: string): string {
  const path = join(store, basename(storePath(name)))
  mkdirSync(join(path, 'bin'), { recursive: true })
  writeFileSync(join(path, 'bin/file'), '')
  return path
}

/** Compiles src/ where dist/ is missing or older, as `npm test` does before; two tests at once do it one by one. */
export async function build(): Promise<void> {
  if (isBuilt()) return
  const lockfilePath = join(ROOT, 'node_modules/.build.lock')
  const unlock = await lock(ROOT, {
    lockfilePath,
    stale: 60_000,
    retries: { retries: 600, minTimeout: 100, maxTimeout: 100 },
  })
  try {
    if (isBuilt()) return
    // What does not compile is another test's to say; the compiler writes all it can.
    await execa('npm', ['run', 'build'], { cwd: ROOT, reject: false })
    writeFileSync(join(ROOT, 'dist/.built'), '')
  } finally {
    await unlock()
  }
}

function isBuilt(): boolean {
  const mark = join(ROOT, 'dist/.built')
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  const newest = Math.max(...['.', ...sources].map((name) => statSync(join(ROOT, 'src', name)).mtimeMs))
  return existsSync(mark) && existsSync(join(ROOT, 'dist/cli/main.js')) && statSync(mark).mtimeMs >= newest
}
