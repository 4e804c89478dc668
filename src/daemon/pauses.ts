import type { Logger } from 'pino'
import type { Dispatcher } from '../delivery/dispatcher.ts'
import type { Spool } from '../spool/layout.ts'
import { isPaused } from '../spool/pause.ts'
import type { Claimer } from './claimer.ts'

interface PausesContext {
  spool: Spool
  log: Logger
  dispatcher: Dispatcher
  claimer: Claimer
  /** Called when everything is paused, or goes on. */
  onChange: () => void
}

/** Follows what people pause in the spool: everything, or single destinations. */
export class Pauses {
  readonly #context: PausesContext
  /** Everything was paused at the last look. */
  isPaused = false

  constructor(context: PausesContext) {
    this.#context = context
  }

  /**
   * Looks at the spool. A pause stops the destinations and returns what is not in flight to `new/`; when it is over, `new/` is read again.
   * @returns True if everything is paused.
   */
  look(): boolean {
    const { spool, log, dispatcher, claimer, onChange } = this.#context
    const paused = isPaused(spool)
    const isChanged = paused !== this.isPaused
    if (isChanged) log.info(paused ? 'paused: nothing is claimed until nix-upload resume' : 'resumed')
    dispatcher.routes.pause((name) => paused || isPaused(spool, name))
    if (paused) dispatcher.releaseIdle()
    else if (isChanged) claimer.scan.lookAgain()
    this.isPaused = paused
    if (isChanged) onChange()
    return paused
  }
}
