import { counted } from '../../util/counted.ts'
import { formatDuration } from '../../util/duration.ts'
import { printable } from '../../util/printable.ts'
import { staleSentence } from '../stale.ts'
import type { DestinationStatus, Snapshot } from './snapshot.ts'

/** What somebody wants to know first after a weekend. */
export interface Attention {
  /** How many jobs wait, for which destinations and since when. */
  headline: string
  /** `trouble` if somebody should look; `held` if a person has paused something. */
  mood: 'idle' | 'busy' | 'held' | 'trouble'
  /** What prevents delivery; empty if there is nothing to do. */
  matters: readonly Matter[]
}

/** Something that prevents delivery, and what to do about it. */
export interface Matter {
  isTrouble: boolean
  text: string
  /** True for the jobs that were given up: there is more to say about them. */
  isAboutFailed?: boolean
}

/** If more destinations than this are in trouble, they are reported as one trouble. */
const MATTERS_AT_MOST = 20

/**
 * Weighs a snapshot.
 * @param now The time that ages are counted to, in milliseconds since the epoch.
 */
export function attentionTo(snapshot: Snapshot, now = Date.now()): Attention {
  const { new: queued, cur } = snapshot.states
  const matters = mattersOf(snapshot, now)
  const calm = queued.jobs + cur.jobs > 0 ? 'busy' : 'idle'
  const held = matters.length > 0 ? 'held' : calm
  return {
    headline: headlineOf(snapshot, now),
    mood: matters.some(({ isTrouble }) => isTrouble) ? 'trouble' : held,
    matters,
  }
}

function headlineOf({ states, destinations }: Snapshot, now: number): string {
  const jobs = states.new.jobs + states.cur.jobs
  if (jobs === 0) return 'Nothing waits.'
  const lacking = destinations.filter(({ waiting }) => waiting.jobs > 0)
  const [only] = lacking
  const forWhom =
    only && lacking.length === 1 && destinations.length > 1 ? ` for ${printable(only.name)}` : ''
  const oldest = [states.new.oldest, states.cur.oldest].flatMap((date) => date?.getTime() ?? [])
  return `${waitingJobs(jobs)}${forWhom}${forHowLong(jobs, Math.min(...oldest), now)}.`
}

function mattersOf(snapshot: Snapshot, now: number): Matter[] {
  const { daemon, stale, owners, paused, states, destinations } = snapshot
  const all: Matter[] = []
  if (daemon === 'not running') {
    const text = 'No daemon is running: `nix-upload watch` or its service delivers what waits.'
    all.push({ isTrouble: true, text })
  }
  if (owners !== undefined) all.push({ isTrouble: true, text: printable(`Of the spool: ${owners}.`) })
  if (stale) all.push({ isTrouble: false, text: printable(`Of the daemon: ${staleSentence(stale)}.`) })
  if (paused) all.push({ isTrouble: false, text: 'Paused: `nix-upload resume` goes on.' })
  const ofDestinations = destinations.flatMap((destination) => matterOf(destination, now))
  all.push(...ofDestinations.slice(0, MATTERS_AT_MOST))
  const { jobs } = states.failed
  if (jobs > 0) {
    const remedy = 'mend what is said below, then `nix-upload requeue --all`'
    const text = `${counted(jobs, 'job')} ${jobs === 1 ? 'was' : 'were'} given up: ${remedy}.`
    all.push({ isTrouble: true, text, isAboutFailed: true })
  }
  return all
}

function matterOf({ name, isConfigured, paused, waiting, report }: DestinationStatus, now: number): Matter[] {
  const { jobs, oldest, isEstimate } = waiting
  const shown = printable(name)
  const mark = isEstimate ? '~' : ''
  const age = forHowLong(jobs, oldest?.getTime(), now)
  const waits = jobs === 0 ? '' : `; ${mark}${waitingJobs(jobs)} for it${age}`
  if (!isConfigured) {
    const remedy = `put it back, or \`nix-upload forget ${shown}\` gives it up`
    return [{ isTrouble: true, text: `${shown} is not configured${waits}: ${remedy}.` }]
  }
  const { state, lastSuccessAt } = report
  const pause = paused
    ? [{ isTrouble: false, text: `${shown} is paused${waits}: \`nix-upload resume ${shown}\` goes on.` }]
    : []
  if (state !== 'down') return pause
  const since = lastSuccessAt === undefined ? '' : `, last upload ${ago(lastSuccessAt, now)}`
  const text = `${shown} is down${since}${waits}. It is tried again by itself, and nothing is lost.`
  return [...pause, { isTrouble: true, text }]
}

function waitingJobs(jobs: number): string {
  return `${counted(jobs, 'job')} wait${jobs === 1 ? 's' : ''}`
}

/** @param oldest Milliseconds since the epoch. */
function forHowLong(jobs: number, oldest: number | undefined, now: number): string {
  if (oldest === undefined || !Number.isFinite(oldest)) return ''
  return `${jobs === 1 ? '' : ', the oldest'} for ${formatDuration(now - oldest)}`
}

function ago(time: string, now: number): string {
  return `${formatDuration(now - Date.parse(time))} ago`
}
