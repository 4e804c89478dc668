import type { Logger } from 'pino'
import type { Dispatcher } from '../delivery/dispatcher.ts'
import type { Spool } from '../spool/layout.ts'
import { entriesOf } from '../spool/read.ts'
import { hasWork } from '../spool/survey.ts'
import type { Claimer } from './claimer.ts'

/** How long a drain with `--linger` stays with nothing to do. */
export const QUIET_MS = 5_000

/**
 * When a loop ends: when it is told to (`watch`); when nothing more can be done now (`drain`); or when no job waits
 * any more, not even for a destination that is down, either at once (`exec`) or after some seconds (`drain --linger`).
 */
export type Until = 'stopped' | 'idle' | 'settled' | 'empty'

interface ExitContext {
  spool: Spool
  log: Logger
  dispatcher: Dispatcher
  claimer: Claimer
  /** Makes the loop ask again. */
  ring: () => void
}

/** Decides whether a loop ends. */
export class ExitCondition {
  until: Until
  readonly #context: ExitContext
  #emptySince: number | undefined
  #hasSaidStray = false

  constructor(until: Until, context: ExitContext) {
    this.until = until
    this.#context = context
  }

  /** @param isPaused Whether somebody has paused the whole spool. */
  isReached(isPaused: boolean): boolean {
    if (this.until === 'idle') return isPaused || this.#isThrough()
    if (this.until === 'settled') return this.#isEmpty()
    return this.until === 'empty' && this.#isQuiet()
  }

  /** Nothing is under way, and nothing more can be claimed: there are no jobs, or no destination has room. */
  #isThrough(): boolean {
    const { dispatcher, claimer } = this.#context
    if (dispatcher.isRunning || claimer.isExpectingMore) return false
    return claimer.scan.isThrough || claimer.isFull
  }

  /** Nothing was left for some seconds: when builds end one after the other, not each should start a new process. */
  #isQuiet(): boolean {
    const now = performance.now()
    const isFirst = this.#emptySince === undefined
    this.#emptySince = this.#isEmpty() ? (this.#emptySince ?? now) : undefined
    if (this.#emptySince === undefined) return false
    if (isFirst) setTimeout(this.#context.ring, QUIET_MS + 1)
    return now - this.#emptySince >= QUIET_MS
  }

  /** No job is left, and `new/` is empty: otherwise a path unit would start us again at once. */
  #isEmpty(): boolean {
    const { spool, log, dispatcher } = this.#context
    if (dispatcher.inHand > 0 || hasWork(spool)) return false
    const stray = firstVisible(spool.new)
    if (stray === undefined) return true
    if (!this.#hasSaidStray) log.warn({ file: stray }, 'new/ holds something that is no job; take it away')
    this.#hasSaidStray = true
    return false
  }
}

/** The first entry that is not hidden. */
function firstVisible(directory: string): string | undefined {
  for (const { name } of entriesOf(directory)) if (!name.startsWith('.')) return name
  return undefined
}
