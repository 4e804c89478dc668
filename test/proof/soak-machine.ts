// A machine for the soak: real Nix, the real hook and daemon, a cache over http and one in a folder, and what people,
// networks and kernels do to them.

import { readdirSync, readFileSync, renameSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { rootKey } from '../../src/nix/gc-roots.ts'
import { spoolAt } from '../../src/spool/layout.ts'
import { exists } from '../../src/spool/write.ts'
import { type Daemon, until } from '../integration/daemon.ts'
import { HOOK, type Site } from '../integration/site.ts'
import { must } from '../support/run.ts'
import type { Mood, MoodyCache } from '../support/servers/moody-cache.ts'
import { isInCache } from './cache-check.ts'
import { type Ground, type Handed, type Moment, violations } from './invariants.ts'

type State = 'new' | 'cur' | 'done' | 'failed'
const MOODS: Mood[] = [{ status: 503 }, { status: 403 }, { dropAfter: 100 }, { delayMs: 300 }]

export class Machine {
  readonly handed: Handed[] = []
  /** Jobs that can't be delivered, or that need not: what they name may have been collected. */
  readonly mayFail = new Set<string>()
  /** Jobs that a person's `mv` left twice, which is legal if rare (docs/SPOOL.md, rule 2). */
  readonly twice = new Set<string>()
  daemon: Daemon | undefined
  readonly #moved = new Set<string>()
  readonly #site: Site
  readonly #server: MoodyCache
  readonly #config: string[]
  readonly #random: () => number
  #count = 0

  /** @param random From 0 to 1, as `Math.random`. */
  constructor(site: Site, server: MoodyCache, config: string[], random: () => number) {
    this.#site = site
    this.#server = server
    this.#config = config
    this.#random = random
  }

  get ground(): Ground {
    const { spool, gcroots, cache, nix } = this.#site
    const hasArrived = (path: string) => isInCache(cache, path) && isInCache(this.#server.dir, path)
    const foreign = new Map<string, Buffer>()
    return {
      spool: spoolAt(spool),
      gcroots,
      storeDir: nix.storeDir,
      hasArrived,
      cache,
      handed: this.handed,
      foreign,
    }
  }

  /** What is not as it must be. */
  violations(moment: Moment): string[] {
    return violations(this.ground, moment).filter((line) => {
      // A person's mv came between a look and a rename of the daemon's: a second copy, which nothing is lost by.
      const [, name = ''] = /^every job is in exactly one place: (\S+) is in \w+\/\S+, /.exec(line) ?? []
      if (this.#moved.has(name)) this.twice.add(name)
      return !this.#moved.has(name)
    })
  }

  /** A number below `count`. */
  pick(count: number): number {
    return Math.floor(this.#random() * count)
  }

  async startDaemon(): Promise<void> {
    // As its unit starts it: without, its memory grows for an hour before it stays as it is.
    const env = { NODE_OPTIONS: '--max-semi-space-size=4', MALLOC_ARENA_MAX: '1' }
    this.daemon = this.#site.start(['watch', ...this.#config], [], env)
    await this.daemon.says('"watching"', 300_000)
  }

  /** SIGKILL, now and then without what it started. */
  async kill(): Promise<void> {
    if (this.pick(3) === 0) this.daemon?.kill('SIGKILL')
    else this.daemon?.killWithChildren()
    await this.daemon?.exited
  }

  async build(): Promise<void> {
    const outputs = this.pick(3) === 0 ? ['out', 'doc'] : ['out']
    const derivation = {
      name: `built-${++this.#count}`,
      outputs,
      unique: true,
      sizeBytes: this.pick(100_000),
    }
    const built = await this.#site.nix.build(derivation, { hook: HOOK, hookEnv: this.#site.env })
    const [, name] = /nix-upload: queued (\S+\.json)$/m.exec(built.stderr) ?? []
    if (name === undefined) throw new Error(`the hook did not queue: ${built.stderr}`)
    const { drvPath, outPaths } = built
    this.#note(name, JSON.stringify({ version: 1, drvPath, outPaths }), true)
  }

  async enqueue(): Promise<void> {
    const paths = await this.#site.paths(1 + this.pick(4), 'queued')
    const names = await this.#site.enqueue(paths)
    for (const [at, name] of names.entries())
      this.#note(name, JSON.stringify({ version: 1, outPaths: [paths[at]] }), true)
  }

  async putWhatFails(): Promise<void> {
    const gone = `${this.#site.nix.storeDir}/${'0'.repeat(32)}-gone`
    const text = this.pick(2) === 0 ? '{' : JSON.stringify({ outPaths: [gone] })
    const name = `fails-${++this.#count}`
    this.mayFail.add(name)
    this.#note(name, text, false)
    await this.#site.handOver(name, text)
  }

  #note(name: string, text: string, isRooted: boolean): void {
    this.handed.push({ name, bytes: Buffer.from(text), isRooted })
  }

  outage(): void {
    const mood = MOODS[this.pick(MOODS.length)]
    if (mood) this.#server.behave(mood)
  }

  recovery(): void {
    this.#server.calm()
  }

  /** A person moves a job. */
  move(from: State, to: State): void {
    const { spool } = this.ground
    const names = this.#site.names(from).filter((name) => !name.startsWith('.'))
    const name = names[this.pick(names.length)]
    if (name === undefined || exists(join(spool[to], name))) return
    if (from === 'done') this.#isAgain(name)
    this.#moved.add(plain(name))
    try {
      renameSync(join(spool[from], name), join(spool[to], name))
    } catch {
      // The daemon was there before.
    }
  }

  async requeue(): Promise<void> {
    const names = [...this.#site.names('failed'), ...this.#site.names('done')]
    const name = names[this.pick(names.length)]
    if (name === undefined) return
    this.#isAgain(name)
    this.#moved.add(plain(name))
    await this.#site.run(['requeue', name, ...this.#config])
  }

  /** What was done has no roots, so its paths may be gone by now. */
  #isAgain(name: string): void {
    const at = this.handed.findIndex((job) => job.name === plain(name))
    const job = this.handed[at]
    if (!job) return
    this.mayFail.add(plain(name))
    this.handed[at] = { ...job, isRooted: false }
  }

  async command(...args: string[]): Promise<void> {
    must(await this.#site.run([...args, ...this.#config]), `run ${args.join(' ')}`)
  }

  collectGarbage(): Promise<void> {
    return this.#site.nix.gc()
  }

  /** All is well again; waits until everything is where it belongs and the daemon has nothing to do. */
  async calmDown(): Promise<void> {
    const { spool } = this.ground
    this.recovery()
    await this.command('resume')
    await this.#requeueAll()
    const isThrough = () => this.#site.names('new').length + this.#site.names('cur').length === 0
    const waiting = () => `the queue to be empty: ${JSON.stringify(this.#site.counts())}\n${this.lastWords()}`
    await until(isThrough, waiting, 180_000)
    // The report is written behind the last job.
    await until(() => !readFileSync(spool.reportFile, 'utf8').includes('"since"'), 'the last batch', 30_000)
  }

  /** What is gone is not to be had again: such a job stays in failed/, and the command says so. */
  async #requeueAll(): Promise<void> {
    const result = await this.#site.run(['requeue', '--all', ...this.#config])
    const names = result.stderr
      .split('\n')
      .map((line) => /^nix-upload: (\S+) is left in failed\//.exec(line)?.[1])
    const isExpected = names.every((name) => name !== undefined && this.mayFail.has(plain(name)))
    if (!isExpected) must(result, 'run requeue --all')
  }

  lastWords(): string {
    return (this.daemon?.log ?? []).slice(-20).join('\n')
  }

  /** Jobs that should be in done/ and are not. */
  undelivered(): string[] {
    const done = new Set(this.#site.names('done').map(plain))
    return this.handed.map(({ name }) => name).filter((name) => !done.has(name) && !this.mayFail.has(name))
  }

  /** Lets 37 hours pass for what kills left in tmp/, and sweeps it. Returns what is left of temporary things. */
  async sweep(): Promise<{ tmp: string[]; temporary: string[]; roots: string[] }> {
    const { spool, gcroots } = this.ground
    const then = (Date.now() - 37 * 3_600_000) / 1000
    for (const name of readdirSync(spool.tmp)) utimesSync(join(spool.tmp, name), then, then)
    await this.command('prune')
    const failed = new Set(this.#site.names('failed').map(rootKey))
    return {
      tmp: readdirSync(spool.tmp),
      temporary: readdirSync(this.#site.env.TMPDIR ?? ''),
      roots: readdirSync(gcroots).filter((name) => !failed.has(name.slice(0, -33))),
    }
  }

  /** Files that a killed daemon was writing into the folder; they are removed after a day. */
  leftByKills(): string[] {
    const { cache } = this.#site
    return [cache, join(cache, 'nar')].flatMap((directory) => readdirSync(join(directory, '.nix-upload-tmp')))
  }
}

/** A job's name without the `~1` that it got where its name was taken. */
function plain(name: string): string {
  return name.replace(/(~\d+)+(?=\.json$|$)/, '')
}
