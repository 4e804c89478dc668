import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import type { Dispatcher } from '../delivery/dispatcher.ts'
import { restoreDirectories, type Spool } from '../spool/layout.ts'
import { recover } from '../spool/recover.ts'
import { wordsOf } from '../util/user-error.ts'
import type { Claimer } from './claimer.ts'
import type { Housekeeping } from './housekeeping.ts'
import type { StuckLog } from './stuck-log.ts'

/** Reading a backlog that only waits for a destination that is down takes at most a tenth of the time. */
const SHARE = 10

interface RescanContext {
  spool: Spool
  config: Config
  log: Logger
  dispatcher: Dispatcher
  claimer: Claimer
  housekeeping: Housekeeping
  stuckLog: StuckLog
  /** Wakes the loop. */
  ring: () => void
}

/** Looks at the whole spool from time to time, since events may be lost, and people move jobs. */
export class Rescan {
  readonly #context: RescanContext
  #timer: NodeJS.Timeout | undefined
  #last = 0

  constructor(context: RescanContext) {
    this.#context = context
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), this.#context.config.rescanMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Returns to `new/` what lies in `cur/` and nobody delivers (docs/SPOOL.md, T7). */
  recover(): void {
    const { spool, log, dispatcher, claimer, stuckLog } = this.#context
    const isOurs = (name: string) => dispatcher.isOurs(name)
    const returned = recover(spool, isOurs, ({ name, error }) =>
      stuckLog.job(name, error, "the job can't be moved out of cur/, so it is left alone"),
    )
    if (returned.length === 0) return
    log.info({ jobs: returned.length }, 'returned jobs to new/ that nobody was delivering')
    claimer.scan.lookAgain()
  }

  #restoreDirectories(): void {
    const directories = restoreDirectories(this.#context.spool)
    const message = 'directories of the spool were gone, so they were made again'
    if (directories.length > 0) this.#context.log.warn({ directories }, message)
  }

  #look(): void {
    const { log, dispatcher, claimer, housekeeping, ring } = this.#context
    if (performance.now() - this.#last < claimer.scan.lastPassMs * SHARE) return
    this.#last = performance.now()
    try {
      this.#restoreDirectories()
      this.recover()
    } catch (error) {
      log.error(
        { error: wordsOf(error) },
        'the spool could not be looked through; it is tried again at the next rescan',
      )
    }
    housekeeping.run(dispatcher.tally.done)
    claimer.scan.lookAgain()
    ring()
  }
}
