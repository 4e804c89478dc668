import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { Dispatcher } from '../delivery/dispatcher.ts'
import type { Observer } from '../delivery/observer.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import type { Spool } from '../spool/layout.ts'
import { hasWork } from '../spool/survey.ts'
import { codeOf, wordsOf } from '../util/user-error.ts'
import { Alarm } from './alarm.ts'
import { Claimer } from './claimer.ts'
import { ExitCondition, type Until } from './exit-condition.ts'
import { Housekeeping } from './housekeeping.ts'
import type { Standing } from './notify.ts'
import { Pauses } from './pauses.ts'
import { Protector } from './protector.ts'
import { Reporter, reportsOf } from './reporter.ts'
import { Rescan } from './rescan.ts'
import { SpoolWatcher } from './spool-watcher.ts'
import { StuckLog } from './stuck-log.ts'

export interface LoopContext {
  spool: Spool
  roots: GcRoots
  storeDir: string
  config: Config
  log: Logger
  /** Called when the value of `standing` has changed in a way that matters. */
  onChange: () => void
  observer?: Observer | undefined
}

/** How a loop ended. */
export interface LoopResult {
  done: number
  failed: number
  /** True if there are jobs left that must wait. */
  isWaiting: boolean
}

/**
 * Claims jobs and has them delivered: sleeps until something happens in the spool or at a destination, then looks at the
 * spool (a turn), and so on.
 */
export class Loop {
  readonly #context: LoopContext
  readonly #dispatcher: Dispatcher
  readonly #protector: Protector
  readonly #claimer: Claimer
  readonly #watcher: SpoolWatcher
  readonly #housekeeping: Housekeeping
  readonly #rescan: Rescan
  readonly #reporter: Reporter
  readonly #exit: ExitCondition
  readonly #pauses: Pauses
  readonly #alarm = new Alarm()
  #isStopping = false
  #hasGotOn = false

  constructor(context: LoopContext) {
    const { spool, roots, config, log, observer } = context
    const ring = () => this.#alarm.ring()
    this.#context = context
    const onHealth = () => this.#report()
    const protector = new Protector(context)
    const onRooted = (paths: readonly string[]) => protector.tellOf(paths)
    const events = { onChange: ring, onHealth, onRooted }
    const dispatcher = new Dispatcher({ spool, roots, config, log, observer, ...events })
    const stuckLog = new StuckLog(log)
    const onMany = () => this.#onMany()
    const claimer = new Claimer({ ...context, protector, stuckLog, ring, onMany }, dispatcher)
    const housekeeping = new Housekeeping(context, protector, stuckLog)
    this.#dispatcher = dispatcher
    this.#protector = protector
    this.#claimer = claimer
    this.#housekeeping = housekeeping
    this.#watcher = new SpoolWatcher({ spool, claimer, housekeeping, ring })
    this.#rescan = new Rescan({ spool, config, log, dispatcher, claimer, housekeeping, stuckLog, ring })
    this.#reporter = new Reporter(context, dispatcher)
    this.#pauses = new Pauses({ ...context, dispatcher, claimer })
    this.#exit = new ExitCondition('stopped', { spool, log, dispatcher, claimer, ring })
  }

  /** Stops claiming; `run` then returns when the batches in flight have ended, or the grace is over. */
  stop(): void {
    this.#isStopping = true
    this.#alarm.ring()
  }

  /** Ends the batches in flight now. */
  abort(): void {
    this.#dispatcher.routes.abort()
    this.stop()
  }

  /**
   * Applies the limits of another configuration.
   * @param isAll Nothing else in it has changed.
   */
  setRates(config: Config, isAll: boolean): void {
    this.#dispatcher.routes.setRates(config)
    if (isAll) this.#reporter.rereadConfig()
  }

  /** Changes when a running loop ends; it looks once more for jobs that came until now. */
  endWhen(until: Until): void {
    this.#exit.until = until
    this.#claimer.scan.lookAgain()
    this.#alarm.ring()
  }

  /** @param onReady Called once what a dead daemon left is back in `new/` (docs/SPOOL.md, T7). */
  async run(until: Until, onReady: () => void = () => undefined): Promise<LoopResult> {
    const isStaying = until !== 'idle'
    this.#exit.until = until
    this.#report()
    this.#rescan.recover()
    onReady()
    this.#rescan.start()
    // Also if a turn throws (a full disk, say): claimed jobs go back, and nothing runs on.
    try {
      if (isStaying) await this.#watcher.start()
      while (!this.#isStopping) {
        const isOver = await (isStaying ? this.#roundOrLog() : this.#round())
        this.#hasGotOn = true
        if (isOver) {
          if (!isStaying && hasWork(this.#context.spool)) await this.#housekeeping.protectAll()
          break
        }
        await this.#alarm.sleep()
      }
    } finally {
      this.#rescan.stop()
      await this.#close()
    }
    return { ...this.#tally, isWaiting: hasWork(this.#context.spool) }
  }

  /** False if the loop has hung since the last call: it doesn't sleep, isn't stopping, and has made no progress. */
  takeWellness(): boolean {
    const isWell = this.#alarm.isAsleep || this.#isStopping || this.#hasGotOn
    this.#hasGotOn = false
    return isWell
  }

  standing(): Standing {
    return {
      isPaused: this.#pauses.isPaused,
      isStopping: this.#isStopping,
      inHand: this.#dispatcher.inHand,
      ...this.#tally,
      destinations: reportsOf(this.#dispatcher),
    }
  }

  /** How many bytes went out to each destination since the start. */
  sentBytes(): Record<string, number> {
    return Object.fromEntries(
      this.#dispatcher.routes.all.map(({ destination, worker }) => [destination.name, worker.sent.bytes]),
    )
  }

  /** Files that are no jobs count as failed. */
  get #tally(): { done: number; failed: number } {
    const { done, failed } = this.#dispatcher.tally
    return { done, failed: failed + this.#claimer.rejected }
  }

  async #close(): Promise<void> {
    await this.#dispatcher.stop(this.#context.config.stopGraceMs)
    await this.#housekeeping.stop()
    await this.#protector.stop()
    this.#reporter.stop()
    await this.#watcher.stop()
    this.#report()
    this.#claimer.close()
  }

  /** Claims as much as there is room for and starts what can be started. */
  async #turn(): Promise<void> {
    if (this.#pauses.look()) return this.#watcher.protectHeard()
    await this.#claimer.claim(this.#watcher.takeNames(), () => {
      this.#hasGotOn = true // a look at one of a million files, say
      return this.#isStopping
    })
    this.#dispatcher.start()
    this.#reporter.follow()
  }

  /** The backlog of a destination that is down may be too large to start watching again. */
  async #onMany(): Promise<void> {
    if (this.#dispatcher.routes.areAllUp) await this.#watcher.ignoreJobs()
  }

  /** A spool that can't be read now (a lost mount, no file handles left) is read again at the next rescan. */
  async #roundOrLog(): Promise<boolean> {
    try {
      if (await this.#round()) return true
      await this.#watcher.watchJobs(this.#pauses.isPaused)
    } catch (error) {
      if (codeOf(error) === undefined) throw error
      const message = 'the spool could not be read; it is tried again at the next rescan'
      this.#context.log.error({ error: wordsOf(error) }, message)
    }
    return false
  }

  /** Looks at the spool once. Returns true if the loop ends then. */
  async #round(): Promise<boolean> {
    await this.#turn()
    return this.#exit.isReached(this.#pauses.isPaused)
  }

  /** For what matters to the service manager too. */
  #report(): void {
    this.#reporter.write()
    this.#context.onChange()
  }
}
