import { constants } from 'node:os'
import { UserError } from '../../util/user-error.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/** Signals before the start of the command: it is not started, and what was created for it is removed. */
export class EarlySignals {
  #first: NodeJS.Signals | undefined
  readonly #note = (signal: NodeJS.Signals) => {
    this.#first ??= signal
  }

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.#note)
  }

  /** @throws {UserError} if one came. */
  throwIfAny(): void {
    if (this.#first === undefined) return
    const status = 128 + constants.signals[this.#first]
    throw new UserError(`nothing was started, because of ${this.#first}`, status)
  }

  /**
   * From now on a signal ends the process at once, with the exit code that is set. A listener stays until the end: where
   * signal-exit, which proper-lockfile brings, finds no other, it sends a late Ctrl-C to the process again, and kills it.
   */
  endNow(): void {
    for (const signal of SIGNALS) {
      process.on(signal, () => process.exit(process.exitCode ?? 128 + constants.signals[signal]))
      process.off(signal, this.#note)
    }
  }
}
