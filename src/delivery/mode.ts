/** What a worker knows when it decides what to do next. */
export interface Situation {
  isStopping: boolean
  /** Somebody paused the destination. */
  isPaused: boolean
  /** The last batch failed because of the destination. */
  isDown: boolean
  /** How long until the destination may be tried again. */
  waitMs: number
  isProbing: boolean
  /** Nix is being asked which of the queued jobs are unrelated to those in flight. */
  isChoosing: boolean
  /** All of the queued jobs are related to those in flight. */
  isHeldUp: boolean
  /** Batches in flight. */
  batches: number
  /** The destination's limit for them. */
  concurrency: number
}

export type Mode =
  | 'stopping'
  | 'paused'
  | 'backing off'
  | 'probing'
  | 'due'
  | 'idle'
  | 'choosing'
  | 'busy'
  | 'sending'

/**
 * What a worker does in each mode.
 *
 * | mode        | while                                                   | until                                            |
 * |-------------|---------------------------------------------------------|--------------------------------------------------|
 * | stopping    | the daemon is stopping                                  | the process ends                                 |
 * | paused      | somebody paused the destination                         | it is resumed: as if nothing had been            |
 * | backing off | it is down, and its wait is not over                    | the wait is over: due; something goes through: idle, sending |
 * | due         | it is down, and may be tried                            | the probe starts: probing                        |
 * | probing     | one job is sent to see whether it is back               | it goes through: idle, sending; it fails: backing off |
 * | idle        | nothing is in flight                                    | a batch starts: sending, or busy                 |
 * | sending     | fewer batches are in flight than there may be           | one more is looked for: choosing; the last ends: idle |
 * | choosing    | Nix says which queued jobs may go beside those in flight | there are some: sending, busy; there are none: busy |
 * | busy        | no further batch may start beside those in flight       | one ends, or a job comes: sending, idle          |
 *
 * In each of them, a failure of the destination leads to: backing off.
 */
export const MODES: Readonly<Record<Mode, { takes: 'nothing' | 'a probe' | 'a batch'; starts: Start }>> = {
  stopping: { takes: 'nothing', starts: 'nothing' },
  paused: { takes: 'nothing', starts: 'nothing' },
  'backing off': { takes: 'nothing', starts: 'nothing' },
  due: { takes: 'a probe', starts: 'a probe' },
  probing: { takes: 'a probe', starts: 'nothing' },
  idle: { takes: 'a batch', starts: 'a batch' },
  sending: { takes: 'a batch', starts: 'a batch beside others' },
  choosing: { takes: 'a batch', starts: 'nothing' },
  busy: { takes: 'a batch', starts: 'nothing' },
}

type Start = 'nothing' | 'a probe' | 'a batch' | 'a batch beside others'

/** The mode of a situation. It is stored nowhere, so it can't contradict the situation. */
export function modeOf(now: Situation): Mode {
  if (now.isStopping) return 'stopping'
  if (now.isPaused) return 'paused'
  // A probe goes out beside batches from before: these can take hours.
  if (now.waitMs > 0) return 'backing off'
  if (now.isDown) return now.isProbing ? 'probing' : 'due'
  if (now.batches === 0) return 'idle'
  if (now.isChoosing) return 'choosing'
  return now.isHeldUp || now.batches >= now.concurrency ? 'busy' : 'sending'
}
