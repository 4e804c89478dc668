import { join } from 'node:path'
import { ANY_STORE } from '../nix/store-path.ts'
import { printable } from '../util/printable.ts'
import { atOnce, type Steps } from '../util/steps.ts'
import { UserError } from '../util/user-error.ts'
import { AgeCount, type Ages } from './ages.ts'
import type { Job } from './job.ts'
import { NotAJobError } from './job-file.ts'
import { type Spool, STATES, type State } from './layout.ts'
import { entriesOf, mayBeJob, readJob, readTextIfThere } from './read.ts'
import { exists } from './write.ts'

/** Counts the jobs in a state, by age; a hundred thousand take a fraction of a second. */
export function count(spool: Spool, state: State): Ages {
  const ages = new AgeCount(Date.now())
  for (const name of namesIn(spool, state)) ages.add(name, () => join(spool[state], name))
  return ages
}

/** Streams the names of the jobs in a state. */
export function* namesIn(spool: Spool, state: State): Generator<string> {
  for (const { name } of entriesOf(spool[state])) if (mayBeJob(name)) yield name
}

/**
 * The last names of a state. For jobs from hooks, these were queued last.
 * @param count How many, at most.
 * @param most At most this many names are looked at; a directory is in no order.
 * @returns In order; `isAll` says whether all names were looked at.
 */
export function lastNames(
  spool: Spool,
  state: State,
  count: number,
  most = Number.POSITIVE_INFINITY,
): LastNames {
  return atOnce(lookingForLastNames(spool, state, count, most))
}

/** Like `lastNames`, in steps. */
export function* lookingForLastNames(
  spool: Spool,
  state: State,
  count: number,
  most = Number.POSITIVE_INFINITY,
): Steps<LastNames> {
  let names: string[] = []
  let seen = 0
  for (const name of namesIn(spool, state)) {
    if (seen++ === most) return { names: lastOf(names, count), isAll: false }
    names.push(name)
    // Not every time, since this sorts the list.
    if (names.length >= 10 * count) names = lastOf(names, count)
    yield
  }
  return { names: lastOf(names, count), isAll: true }
}

interface LastNames {
  names: string[]
  isAll: boolean
}

function lastOf(names: readonly string[], count: number): string[] {
  return names.toSorted().slice(-count)
}

/** True if some job is not settled. It looks in `new/` before `cur/`, as a job moves, so as to miss none. */
export function hasWork(spool: Spool): boolean {
  for (const state of ['new', 'cur', 'new'] as const) for (const _ of namesIn(spool, state)) return true
  return false
}

/** A job as it lies in the spool, read as far as it can be read. */
export interface Found {
  name: string
  state: State
  path: string
  /** Missing where the file is no valid job; then `reason` says why. */
  job?: Job
  reason?: string
}

/** Streams the jobs of the given states, sorted by name: jobs from hooks come in the order in which they were queued. */
export function* jobsIn(spool: Spool, states: readonly State[]): Generator<Found> {
  for (const state of states) {
    for (const name of [...namesIn(spool, state)].sort()) {
      const found = look(spool, state, name)
      if (found) yield found
    }
  }
}

/**
 * Finds one job by its name or any unique part of it.
 * @throws {UserError} if none or several match.
 */
export function findJob(spool: Spool, part: string, states: readonly State[] = STATES): Found {
  // An empty name would be that of the state's directory itself.
  if (part === '') throw new UserError('which job? Say its name, or any unique part of it')
  const matches: [State, string][] = []
  for (const state of states) {
    if (mayBeJob(part) && !part.includes('/') && exists(join(spool[state], part))) {
      const exact = look(spool, state, part)
      if (exact) return exact
    }
  }
  for (const state of states) {
    for (const name of namesIn(spool, state)) {
      if (name.includes(part)) matches.push([state, name])
      if (matches.length > 10) break
    }
  }
  const [first, second] = matches
  const where = states.length === STATES.length ? 'in the spool' : `in ${states.join('/ or ')}/`
  if (!first)
    throw new UserError(`no job ${where} has "${part}" in its name; \`nix-upload list\` shows what is there`)
  if (second) {
    const names = matches.slice(0, 10).map(([state, name]) => `\n  ${state}/${printable(name)}`)
    throw new UserError(
      `several jobs ${where} have "${part}" in their names; say more of it:${names.join('')}`,
    )
  }
  const found = look(spool, first[0], first[1])
  if (!found) throw new UserError(`the job ${first[1]} was moved away just now; try again`)
  return found
}

/** Reads a job; undefined if it is gone. */
export function look(spool: Spool, state: State, name: string): Found | undefined {
  const path = join(spool[state], name)
  try {
    const job = readJob(path, ANY_STORE)
    // A file that the daemon rejected may look valid here, since any store directory is accepted. The note beside it says more.
    const reason = state === 'failed' ? noteOn(path) : undefined
    return job && { name, state, path, ...(reason === undefined ? { job } : { reason }) }
  } catch (error) {
    if (!(error instanceof NotAJobError)) throw error
    return { name, state, path, reason: noteOn(path) ?? error.message }
  }
}

function noteOn(path: string): string | undefined {
  return readTextIfThere(`${path}.reason`)?.split('\n')[0]
}
