// What a machine that uploads has: a Nix (private to the test), a spool, GC roots, and the programs as built.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { isObject } from '../../src/util/is-object.ts'
import { type NixVersion, nixVersions } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'
import { must, type RunOptions, type RunResult } from '../support/run.ts'
import { Daemon, until } from './daemon.ts'

const program = (name: string) => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url))
export const NIX_UPLOAD = program('nix-upload')
export const HOOK = program('nix-upload-hook')

export type State = 'tmp' | 'new' | 'cur' | 'done' | 'failed'

export class Site {
  readonly nix: PrivateNix
  readonly spool: string
  /** Where uploads go when nothing else is configured. */
  readonly cache: string
  readonly gcroots: string
  /** The whole environment of the hook, the daemon and the commands. */
  readonly env: Record<string, string>
  readonly daemons: Daemon[] = []
  #count = 0

  constructor(nix: PrivateNix, spool: string) {
    this.nix = nix
    this.spool = spool
    this.cache = `${spool}-cache`
    this.gcroots = join(nix.gcrootsDir, 'nix-upload')
    this.env = {
      ...nix.env,
      NIX_UPLOAD_SPOOL: this.spool,
      NIX_UPLOAD_GCROOTS: this.gcroots,
      TMPDIR: join(nix.dir, 'tmp'),
    }
  }

  /** Runs a command of `nix-upload`. */
  run(args: string[], options: RunOptions = {}): Promise<RunResult> {
    return this.nix.run(NIX_UPLOAD, args, { cwd: '/', ...options, env: { ...this.env, ...options.env } })
  }

  /** Starts the daemon; `before` is what to start it with (setpriv, unshare). */
  start(args: string[], before: string[] = [], env: Record<string, string> = {}): Daemon {
    const [command = '', ...rest] = [...before, NIX_UPLOAD, ...args]
    const daemon = new Daemon(command, rest, { ...this.env, ...env })
    this.daemons.push(daemon)
    return daemon
  }

  /** Starts the daemon and waits until it is at work. */
  async watch(args: string[] = [], before: string[] = []): Promise<Daemon> {
    const daemon = this.start(['watch', ...args], before)
    await daemon.says('"watching"')
    return daemon
  }

  /** Writes a config file; returns what to give to a command. */
  async configured(toml: string): Promise<string[]> {
    const file = join(this.nix.dir, `config-${++this.#count}.toml`)
    await writeFile(file, toml)
    return ['--config', file]
  }

  /** Makes the spool's directories, as any command does that needs them. */
  async makeSpool(): Promise<void> {
    await mkdir(this.spool, { recursive: true })
    for (const state of ['tmp', 'new', 'cur', 'done', 'failed']) await mkdir(join(this.spool, state))
    await mkdir(this.gcroots, { recursive: true })
  }

  /** Adds so many small files to the store; no two are alike. */
  paths(count: number, name = 'path'): Promise<string[]> {
    const round = ++this.#count
    const files = Array.from({ length: count }, (_, at) => [
      `${name}-${round}-${at}`,
      `${name} ${round} ${at}`,
    ])
    return this.nix.addAllToStore(Object.fromEntries(files))
  }

  /** Runs the hook as Nix does after a build. */
  hook(outPaths: string[]): Promise<RunResult> {
    return this.nix.run(HOOK, [], { cwd: '/', env: { ...this.env, OUT_PATHS: outPaths.join(' ') } })
  }

  /** Queues a job for each path; returns the jobs' names. */
  async enqueue(paths: string[]): Promise<string[]> {
    const result = await this.run(['enqueue', '-'], { input: paths.join('\n') })
    return must(result, 'queue paths').stdout.split('\n').filter(Boolean)
  }

  /** Hands over a job as a careful person does: written beside, then renamed. */
  async handOver(name: string, content: string | Buffer): Promise<void> {
    await writeFile(join(this.spool, 'tmp', name), content)
    await rename(join(this.spool, 'tmp', name), join(this.spool, 'new', name))
  }

  path(state: State, name = ''): string {
    return join(this.spool, state, name)
  }

  /** What is in a directory of the spool, by name, without the notes beside rejected files. */
  names(state: State): string[] {
    return readdirSync(this.path(state))
      .filter((name) => !name.endsWith('.reason'))
      .sort()
  }

  /** How many jobs are where. */
  counts(): Record<'new' | 'cur' | 'done' | 'failed', number> {
    const [atNew, cur, done, failed] = (['new', 'cur', 'done', 'failed'] as const).map(
      (state) => this.names(state).length,
    )
    return { new: atNew ?? 0, cur: cur ?? 0, done: done ?? 0, failed: failed ?? 0 }
  }

  /** Waits until so many jobs are in a state. */
  async settle(state: State, count: number, timeoutMs?: number): Promise<void> {
    const what = () => `${count} jobs in ${state}/; there are ${JSON.stringify(this.counts())}`
    await until(() => this.names(state).length === count, what, timeoutMs)
  }

  async job(state: State, name: string): Promise<Record<string, unknown>> {
    const value: unknown = JSON.parse(await readFile(this.path(state, name), 'utf8'))
    if (!isObject(value)) throw new Error(`${state}/${name} is no JSON object`)
    return value
  }

  /** What a job's file says of a destination. */
  async delivery(state: State, name: string, destination = 'default'): Promise<Record<string, unknown>> {
    const { destinations } = await this.job(state, name)
    const record = isObject(destinations) ? destinations[destination] : undefined
    if (!isObject(record)) throw new Error(`${state}/${name} has nothing on ${destination}`)
    return record
  }

  /** Whether a path is in the cache, by its narinfo; another cache than the default one may be named. */
  isCached(storePath: string, cache = this.cache): boolean {
    return existsSync(join(cache, `${basename(storePath).slice(0, 32)}.narinfo`))
  }

  narinfo(storePath: string): string {
    return readFileSync(join(this.cache, `${basename(storePath).slice(0, 32)}.narinfo`), 'utf8')
  }

  /** The GC roots there are, by name. */
  roots(): string[] {
    return readdirSync(this.gcroots)
  }
}

/**
 * A machine for the running test; taken down at its end.
 * @param dir See `PrivateNixOptions`.
 */
export async function makeSite(version?: NixVersion, dir?: string): Promise<Site> {
  const place = dir === undefined ? {} : { dir }
  const nix = await makePrivateNix(version ?? (await newestNix()), { name: 'integration', ...place })
  const site = new Site(nix, join(nix.dir, 'spool'))
  await mkdir(join(nix.dir, 'tmp'))
  onTestFinished(async () => {
    for (const daemon of site.daemons) daemon.killWithChildren()
    await Promise.all(site.daemons.map(({ exited }) => exited))
    await nix.cleanup()
  })
  return site
}

async function newestNix(): Promise<NixVersion> {
  const newest = (await nixVersions()).at(-1)
  if (!newest) throw new Error('there is no Nix to test with')
  return newest
}
