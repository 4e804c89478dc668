import type { Steps } from '../util/steps.ts'
import type { Spool } from './layout.ts'
import { look, lookingForLastNames } from './survey.ts'

/** A reason for which jobs were given up, and how many were for that. */
export interface Reason {
  reason: string
  jobs: number
}

/** The most frequent reasons in `failed/`. */
export interface Failures {
  /** The most frequent first. */
  reasons: Reason[]
  /** How many jobs were read for that. */
  read: number
  /** How many of those are no valid job: tried again as they are, they fail again. */
  invalid: number
}

/** At most this many are read, the newest. */
const READ_AT_MOST = 500

/** Reads why jobs were given up. Details that differ between jobs (store paths, process IDs) make no separate reason. */
export function* readingFailures(spool: Spool): Steps<Failures> {
  const { names } = yield* lookingForLastNames(spool, 'failed', READ_AT_MOST)
  const reasons = new Map<string, number>()
  let invalid = 0
  for (const name of names) {
    yield
    const found = look(spool, 'failed', name)
    if (!found) continue
    const records = Object.entries(found.job?.destinations ?? {})
    const errors = records.flatMap(([destination, { state, error }]) =>
      state === 'failed' ? [`${destination}: ${error ?? 'it does not say why'}`] : [],
    )
    if (found.reason !== undefined) invalid++
    const note = found.reason?.replace(/^.* is no valid job: /, '')
    const said = note === undefined ? errors : [`no valid job: ${note}`]
    for (const reason of new Set(said.map(general))) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  const sorted = [...reasons].map(([reason, jobs]) => ({ reason, jobs })).sort((a, b) => b.jobs - a.jobs)
  return { reasons: sorted, read: names.length, invalid }
}

/** An error without the details of one job. */
function general(error: string): string {
  return error
    .replaceAll(/'?(?:\/[^\s/'"]+)+\/[0-9a-df-np-sv-z]{32}-[0-9a-zA-Z+._?=-]+'?/g, 'PATH')
    .replaceAll(/PATH(?: PATH)+/g, 'PATH…')
}
