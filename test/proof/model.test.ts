// Random sequences of what hooks, people, daemons, clocks and networks do to one spool, against a reference that knows
// only this: a job that can be delivered ends in done/, any other in failed/, and the invariants hold at every step.
// What is run is the real code on a real directory: the loop of the daemon in this process, up to three at once; the
// hook and daemons that are killed as processes of their own. Only Nix is a stand-in (stand-in.ts). The cache is a directory
// of this machine; in an outage there is something else in its place.
//
// 20 seconds with a fixed seed; ten minutes with PROOF=1, MINUTES=… for any other time with a new one, SEED=… for one that was printed.

import {
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { narinfoName } from '../../src/cache/narinfo.ts'
import { loadConfig } from '../../src/config/load.ts'
import { keepHouse } from '../../src/daemon/housekeeping.ts'
import { Loop } from '../../src/daemon/loop.ts'
import { GcRoots } from '../../src/nix/gc-roots.ts'
import { handOver } from '../../src/spool/hand-over.ts'
import { STATES } from '../../src/spool/layout.ts'
import { pause, resume } from '../../src/spool/pause.ts'
import { mayBeJob } from '../../src/spool/read.ts'
import { requeue } from '../../src/spool/settle.ts'
import { exists, moveJob } from '../../src/spool/write.ts'
import { Daemon } from '../integration/daemon.ts'
import { runProgram } from '../support/run.ts'
import { isInCache } from './cache-check.ts'
import { type Handed, violations } from './invariants.ts'
import { evidence, IS_WHOLE } from './share.ts'
import { makeValid } from './stand-in.ts'
import { STORE, storePath } from './store.ts'
import { HOOK, NIX_UPLOAD, pathsIn, World } from './world.ts'

const MINUTES = Number(process.env.MINUTES ?? (IS_WHOLE ? 10 : 20 / 60))
const isLong = IS_WHOLE || process.env.MINUTES !== undefined
const SEED = Number(process.env.SEED ?? (isLong ? Date.now() % 1e9 : 20261122))
const HOUR = 3_600_000
/** Sequences that fast-check makes from one seed. */
const PER_SEED = 10

const state = fc.constantFrom(...STATES)
const which = fc.nat(5)
const commands = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ does: fc.constantFrom('keep house', 'take a name again') }) },
    {
      weight: 4,
      arbitrary: fc.record({ does: fc.constant('hand over'), by: fc.constantFrom('enqueue', 'hand') }),
    },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('run the hook') }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('hand over what is gone') }) },
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant('put garbage'),
        what: fc.constantFrom('', '{', '\0\0', '[]'),
      }),
    },
    { weight: 4, arbitrary: fc.record({ does: fc.constant('mv'), which, from: state, to: state }) },
    {
      weight: 2,
      arbitrary: fc.record({ does: fc.constant('requeue'), which, from: fc.constantFrom('done', 'failed') }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ does: fc.constantFrom('pause', 'resume', 'outage', 'recovery') }),
    },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('lose'), which }) },
    {
      weight: 1,
      arbitrary: fc.record({ does: fc.constant('jump'), hours: fc.integer({ min: -2000, max: 2000 }) }),
    },
    { weight: 3, arbitrary: fc.record({ does: fc.constant('start a daemon') }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constant('wait'), ms: fc.nat(30) }) },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('let all daemons end') }) },
    {
      weight: 1,
      arbitrary: fc.record({ does: fc.constant('kill a daemon'), after: fc.integer({ min: 150, max: 500 }) }),
    },
  ),
  { minLength: 3, maxLength: 24, size: 'max' },
)
/** Loosely, so that an interpreter is a switch. */
type Command = {
  does: string
  by?: string
  what?: string
  which?: number
  from?: State
  to?: State
  hours?: number
  ms?: number
  after?: number
}
type State = (typeof STATES)[number]

/** The reference: which jobs there are, which of them can be delivered, and what is excused. */
class Reference {
  readonly deliverable = new Set<string>()
  readonly undeliverable = new Set<string>()
  /** Names that a later job has too. */
  readonly again: string[] = []
  /** Paths of jobs that a person put into done/: nobody promised that those have arrived. */
  readonly excused = new Set<string>()
  /** Paths that the destination lost behind everybody's back. */
  readonly lost = new Set<string>()
}

class Run {
  readonly world = new World()
  readonly reference = new Reference()
  readonly roots = new GcRoots(this.world.gcroots)
  /** What is in the cache, also while it can't be reached. */
  readonly #kept = join(this.world.dir, 'kept')
  #lives: Promise<unknown>[] = []
  #count = 0

  constructor() {
    mkdirSync(this.#kept)
    this.#leadTo(this.#kept)
    const { TMPDIR: _, ...env } = this.world.env
    Object.assign(process.env, env)
  }

  get ground() {
    return {
      ...this.world.ground,
      cache: this.#kept,
      hasArrived: (path: string) => this.reference.excused.has(path) || isInCache(this.#kept, path),
    }
  }

  async do(command: Command): Promise<void> {
    const { world } = this
    const { spool } = world
    switch (command.does) {
      case 'hand over': {
        const path = this.#path(true)
        if (command.by === 'hand') {
          this.#put(`${basename(path)}.json`, `${JSON.stringify({ outPaths: [path], mine: this.#count })}\n`)
          this.reference.deliverable.add(`${basename(path)}.json`)
        } else this.#note(handOver(spool, this.roots, [{ outPaths: [path] }]).names[0])
        return
      }
      case 'run the hook': {
        const env = { ...world.env, OUT_PATHS: this.#path(true) }
        const { stdout } = await runProgram(HOOK, [], { env, cwd: '/' })
        this.#note(/^nix-upload: queued (\S+)$/.exec(stdout)?.[1])
        return
      }
      case 'hand over what is gone': {
        const [name] = handOver(spool, this.roots, [{ outPaths: [this.#path(false)] }]).names
        this.#note(name, this.reference.undeliverable)
        return
      }
      case 'take a name again': {
        // As a person may whose jobs have names of their own; in new/ it would replace a file, so not there.
        const [name] = [...this.reference.deliverable].filter((each) =>
          this.#placesOf(each).every((place) => place !== 'new'),
        )
        if (name === undefined || this.#placesOf(name).length === 0) return
        this.#put(name, JSON.stringify({ outPaths: [this.#path(true)], again: this.#count }))
        this.reference.again.push(name)
        return
      }
      case 'put garbage': {
        const name = `garbage-${++this.#count}`
        this.#put(name, command.what ?? '')
        this.reference.undeliverable.add(name)
        return
      }
      case 'mv':
        return this.#move(command.which ?? 0, command.from ?? 'new', command.to ?? 'new')
      case 'requeue':
        return this.#move(command.which ?? 0, command.from ?? 'failed', 'new', true)
      case 'pause':
        return pause(spool)
      case 'resume':
        resume(spool)
        return
      case 'outage':
        return this.#leadTo('/dev/null')
      case 'recovery':
        return this.#leadTo(this.#kept)
      case 'lose':
        return this.#lose(command.which ?? 0)
      case 'keep house':
        return this.#keepHouse()
      case 'jump':
        return this.#jump(command.hours ?? 0)
      case 'start a daemon':
        if (this.#lives.length < 3) this.#lives.push(this.#live())
        return
      case 'wait':
        await sleep(command.ms ?? 0)
        return
      case 'let all daemons end':
        return this.#end()
      case 'kill a daemon': {
        const daemon = new Daemon(NIX_UPLOAD, ['drain', '--to', `file://${world.cache}`], world.env)
        await sleep(command.after ?? 0)
        daemon.killWithChildren()
        await daemon.exited
        world.ageLock()
      }
    }
  }

  /** All is well again, and people have put back what had failed; what must be so then. */
  async finish(): Promise<void> {
    const { spool } = this.world
    await this.#end()
    resume(spool)
    await this.do({ does: 'recovery' })
    for (const name of readdirSync(spool.failed)) {
      // Notes too, as `mv failed/* new/` takes them along; a careful person doesn't replace what is there.
      moveJob(join(spool.failed, name), name, spool.new)
    }
    // What a person put into done/, though it can't be delivered, is put back too.
    for (const name of readdirSync(spool.done)) {
      if (this.reference.undeliverable.has(plain(name))) moveJob(join(spool.done, name), name, spool.new)
    }
    this.#sendLostAgain()
    this.world.ageLock()
    await this.#live()
    expect(violations(this.ground, 'recovered')).toEqual([])
    const inState = (name: State) =>
      readdirSync(spool[name]).filter((each) => !each.startsWith('.') && !each.endsWith('.reason'))
    const { deliverable, undeliverable, again } = this.reference
    expect({ new: inState('new'), cur: inState('cur') }).toEqual({ new: [], cur: [] })
    expect(inState('done').map(plain).sort()).toEqual([...deliverable, ...again].sort())
    expect(inState('failed').map(plain).sort()).toEqual([...undeliverable].sort())
  }

  async #live(): Promise<void> {
    const { spool, cache } = this.world
    const config = await loadConfig({ spool: spool.root, to: `file://${cache}` })
    const log = pino({ level: 'silent' })
    const { roots } = this
    await new Loop({ spool, roots, storeDir: STORE, config, log, onChange: () => undefined }).run('idle')
  }

  /** Has the cache be a link to something, at one blow. */
  #leadTo(target: string): void {
    const link = `${this.world.cache}-link`
    symlinkSync(target, link)
    renameSync(link, this.world.cache)
  }

  /** The cache loses what tells of a path that was delivered. */
  #lose(number: number): void {
    const { spool } = this.world
    const name = readdirSync(spool.done).filter(mayBeJob).sort()[number]
    if (name === undefined) return
    for (const path of pathsIn(readFileSync(join(spool.done, name), 'utf8'))) {
      rmSync(join(this.#kept, narinfoName(path)), { force: true })
      this.reference.excused.add(path)
      this.reference.lost.add(path)
    }
  }

  /** As a person does who has noticed it. */
  #sendLostAgain(): void {
    const { done } = this.world.spool
    const { lost, excused } = this.reference
    for (const name of readdirSync(done).filter(mayBeJob)) {
      if (!pathsIn(readFileSync(join(done, name), 'utf8')).some((path) => lost.has(path))) continue
      this.#move(readdirSync(done).filter(mayBeJob).sort().indexOf(name), 'done', 'new', true)
    }
    // One whose name is taken in new/ stays.
    const left = readdirSync(done)
      .filter(mayBeJob)
      .flatMap((name) => pathsIn(readFileSync(join(done, name), 'utf8')))
    for (const path of lost) if (!left.includes(path)) excused.delete(path)
  }

  async #end(): Promise<void> {
    await Promise.all(this.#lives)
    this.#lives = []
  }

  #path(isValid: boolean): string {
    const path = storePath(`${isValid ? 'job' : 'gone'}-${++this.#count}`)
    if (isValid) makeValid(this.world.dir, path)
    return path
  }

  #put(name: string, text: string): void {
    const { spool, handed } = this.world
    writeFileSync(join(spool.tmp, name), text)
    renameSync(join(spool.tmp, name), join(spool.new, name))
    handed.push({ name, bytes: Buffer.from(text), isRooted: false })
  }

  #note(name = 'nothing', kind = this.reference.deliverable): void {
    const bytes = readFileSync(join(this.world.spool.new, name))
    this.world.handed.push({ name, bytes, isRooted: true })
    kind.add(name)
  }

  #placesOf(name: string): State[] {
    return STATES.filter((state) => readdirSync(this.world.spool[state]).some((each) => plain(each) === name))
  }

  /** A person moves a job, wherever it is by now: the one of that number that is there. */
  #move(number: number, from: State, to: State, withCommand = false): void {
    const { spool, handed } = this.world
    const names = readdirSync(spool[from])
      .filter((name) => !name.startsWith('.') && !name.endsWith('.reason'))
      .sort()
    const name = names[number]
    const text = name === undefined ? '' : readFileSync(join(spool[from], name)).toString()
    const at = handed.findIndex((job) => isOf(job, name ?? '', text))
    const job = handed[at]
    if (name === undefined || !job || from === to || exists(join(spool[to], name))) return
    const bytes = readFileSync(join(spool[from], name))
    // In done/ a job loses its roots, and gets them again when it is claimed.
    const isRooted = job.isRooted && from !== 'done' && to !== 'done'
    handed[at] = { ...job, bytes, isRooted }
    if (to === 'done') for (const path of pathsIn(bytes.toString())) this.reference.excused.add(path)
    if (withCommand) requeue(spool, from, name)
    else renameSync(join(spool[from], name), join(spool[to], name))
  }

  /** Every time stamp is that much older than it was. */
  #jump(hours: number): void {
    const { spool } = this.world
    const then = (Date.now() - hours * HOUR) / 1000
    for (const directory of [spool.tmp, ...STATES.map((name) => spool[name]), this.world.gcroots]) {
      for (const name of readdirSync(directory)) lutimesSync(join(directory, name), then, then)
    }
  }

  /** Retention may take what is old and in done/. */
  async #keepHouse(): Promise<void> {
    const { spool, handed } = this.world
    const config = await loadConfig({ spool: spool.root, to: `file://${this.world.cache}` })
    const old = new Date(Date.now() - config.keepDoneMs)
    const before = readdirSync(spool.done)
      .filter((name) => !name.startsWith('.') && lstatSync(join(spool.done, name)).mtime < old)
      .map((name) => ({ name, text: readFileSync(join(spool.done, name), 'utf8') }))
    await keepHouse({ spool, roots: this.roots, config })
    for (const { name, text } of before) {
      if (exists(join(spool.done, name))) continue
      const at = handed.findIndex((job) => isOf(job, name, text))
      if (at >= 0) handed.splice(at, 1)
      const again = this.reference.again.indexOf(plain(name))
      if (again >= 0) this.reference.again.splice(again, 1)
      else this.reference.deliverable.delete(plain(name))
      this.reference.undeliverable.delete(plain(name))
    }
  }
}

/** Whether a file is what became of a job: by its name, and by its path where several have that. */
function isOf({ name, bytes }: Handed, file: string, text: string): boolean {
  if (name !== plain(file)) return false
  const [path] = pathsIn(bytes.toString())
  return path === undefined ? bytes.toString() === text : text.includes(path)
}

function plain(name: string): string {
  return name.replace(/(~\d+)+(?=\.json$|$)/, '')
}

test('whatever happens in whatever order', { timeout: (MINUTES + 5) * 60_000 }, async () => {
  const end = performance.now() + MINUTES * 60_000
  const done = new Map<string, number>()
  let sequences = 0
  const property = fc.asyncProperty(commands, async (sequence: Command[]) => {
    const run = new Run()
    try {
      for (const command of sequence) {
        await run.do(command)
        done.set(command.does, (done.get(command.does) ?? 0) + 1)
        expect(violations(run.ground, 'crashed'), `after ${JSON.stringify(command)}`).toEqual([])
      }
      await run.finish()
      sequences++
    } finally {
      await run.finish().catch(() => undefined)
      run.world.remove()
    }
  })
  for (let seed = SEED; performance.now() < end; seed++) {
    try {
      await fc.assert(property, { seed, numRuns: PER_SEED })
    } catch (error) {
      evidence(`the model: SEED=${seed} finds a counterexample`)
      throw error
    }
  }
  const steps = [...done.values()].reduce((sum, count) => sum + count, 0)
  const each = [...done].map(([does, count]) => `${does} ${count}`).join(', ')
  evidence(`the model: ${sequences} sequences from seed ${SEED} on, ${steps} steps: ${each}`)
})
