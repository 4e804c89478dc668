import { join } from 'node:path'
import { ANY_STORE } from '../nix/store-path.ts'
import { own } from '../util/own.ts'
import { atOnce, type Steps } from '../util/steps.ts'
import { AgeCount, type Ages, queuedAt } from './ages.ts'
import { fingerprint } from './fingerprint.ts'
import { isPendingAt, isSettled, type Job, type Place, startAfresh, strangersOf } from './job.ts'
import { NotAJobError } from './job-file.ts'
import { type Spool, STATES, type State } from './layout.ts'
import { readJob } from './read.ts'
import { namesIn } from './survey.ts'

/** The jobs that wait for one destination, under way or not. */
export interface Waiting extends Ages {
  place: Place
  /** True if there were too many to read them all: the figures are estimated from a part. */
  isEstimate: boolean
  /** Claimed jobs among them that failed by their own fault and will be tried again, and the error of one of them. */
  retrying: { jobs: number; error?: string }
}

/** The jobs of a spool by state, and by the destination that they wait for. */
export interface Shape {
  states: Record<State, Ages>
  waiting: ReadonlyMap<string, Waiting>
}

/** At most this many jobs of each age are read to see which destinations they wait for; a disk may take a millisecond for each. */
const READ_PER_COLUMN = 40

/**
 * Surveys a spool: the names of all jobs, and the content of some. Jobs in `new/` may have been delivered to some of
 * the destinations already, or wait for one that isn't configured. Only their content tells, so at most 40 of each age
 * are read.
 * @param destinations Those that are configured. Others that a job waits for are in the result, too.
 */
export function* surveying(spool: Spool, destinations: readonly Place[], now = Date.now()): Steps<Shape> {
  const states = {
    new: new AgeCount(now),
    cur: new AgeCount(now),
    done: new AgeCount(now),
    failed: new AgeCount(now),
  }
  const waiting = new Map(destinations.map((place) => [place.name, new Tally(place)]))
  const known = new Set(waiting.keys())
  const samples = new Map<number, Sample>()
  for (const state of STATES) {
    for (const name of namesIn(spool, state)) {
      const path = () => join(spool[state], name)
      const column = states[state].add(name, path)
      if (state === 'cur') countClaimed(waiting, name, path(), column)
      if (state === 'new') sampleOf(samples, column).offer(name)
      yield
    }
  }
  for (const [column, sample] of samples) {
    countSample(waiting, known, spool.new, sample, column)
    yield
  }
  return { states, waiting }
}

/** Surveys a spool without pauses. */
export function survey(spool: Spool, destinations: readonly Place[]): Shape {
  return atOnce(surveying(spool, destinations))
}

/**
 * A fair sample of many names: those with the smallest hashes. A directory's order may not be random. A random choice would
 * differ each time: other files would have to be read from the disk, and the figures would jump.
 */
class Sample {
  count = 0
  readonly #chosen: { name: string; hash: number }[] = []
  #bound = Number.POSITIVE_INFINITY

  get names(): string[] {
    return this.#chosen.map(({ name }) => name)
  }

  offer(name: string): void {
    this.count++
    const hash = fingerprint(name)
    if (hash >= this.#bound) return
    this.#chosen.push({ name, hash })
    if (this.#chosen.length < READ_PER_COLUMN) return
    this.#chosen.sort((a, b) => a.hash - b.hash)
    this.#chosen.length = READ_PER_COLUMN
    this.#bound = this.#chosen.at(-1)?.hash ?? 0
  }
}

function sampleOf(samples: Map<number, Sample>, column: number): Sample {
  const sample = samples.get(column) ?? new Sample()
  samples.set(column, sample)
  return sample
}

/** What waits for one destination, as it is being counted. */
class Tally implements Waiting {
  readonly place: Place
  jobs = 0
  oldest: Date | undefined
  readonly columns = new AgeCount(0).columns
  isEstimate = false
  readonly retrying: Waiting['retrying'] = { jobs: 0 }

  constructor(place: Place) {
    this.place = place
  }

  add(column: number, jobs: number, oldest: Date | undefined): void {
    this.jobs += jobs
    this.columns[column] = (this.columns[column] ?? 0) + jobs
    if (oldest && (!this.oldest || oldest < this.oldest)) this.oldest = oldest
  }
}

/** A claimed job: its file says which destinations it still waits for. */
function countClaimed(waiting: ReadonlyMap<string, Tally>, name: string, path: string, column: number): void {
  const job = look(path)
  if (!job) return
  for (const [destination, tally] of waiting) {
    if (!isPendingAt(job, tally.place)) continue
    tally.add(column, 1, queuedAt(name, path))
    const { attempts = 0, error } = own(job.destinations, destination) ?? {}
    if (attempts === 0) continue
    tally.retrying.jobs++
    if (error !== undefined) tally.retrying.error = error
  }
}

/** Jobs in `new/` of one age, of which some are read in place of all. */
function countSample(
  waiting: Map<string, Tally>,
  known: ReadonlySet<string>,
  directory: string,
  { names, count }: Sample,
  column: number,
): void {
  const found = names.map((name) => {
    const job = look(join(directory, name))
    return { name, job: job && isSettled(job) ? startAfresh(job, new Date()) : job }
  })
  for (const { job } of found) {
    for (const name of job ? strangersOf(job, known) : []) {
      const tally = new Tally({ name, to: own(job?.destinations, name)?.to ?? '' })
      if (!waiting.has(name)) waiting.set(name, tally)
    }
  }
  for (const [name, tally] of waiting) {
    const isFor = (job: Job) =>
      known.has(name) ? isPendingAt(job, tally.place) : strangersOf(job, known).includes(name)
    const pending = found.filter(({ job }) => (job === undefined ? known.has(name) : isFor(job)))
    if (pending.length === 0) continue
    const times = pending.flatMap(({ name }) => queuedAt(name, join(directory, name)) ?? [])
    const oldest = times.sort((a, b) => a.getTime() - b.getTime())[0]
    tally.add(column, Math.round((count * pending.length) / names.length), oldest)
    // True for all jobs that were read, and there is no other destination: so it is assumed for the others.
    const isSure = known.size === 1 && pending.length === names.length
    if (count > names.length && !isSure) tally.isEstimate = true
  }
}

/** Undefined if it is gone or no valid job, which the daemon will find out. */
function look(path: string): Job | undefined {
  try {
    return readJob(path, ANY_STORE)
  } catch (error) {
    if (!(error instanceof NotAJobError)) throw error
    return undefined
  }
}
