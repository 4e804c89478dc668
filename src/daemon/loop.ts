import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { codeOf, wordsOf } from '../config/user-error.ts'
import { Delivery } from '../delivery/delivery.ts'
import type { Observer } from '../delivery/observer.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import type { Spool } from '../spool/layout.ts'
import { isPaused, isPauseFile } from '../spool/pause.ts'
import { entriesOf } from '../spool/read.ts'
import { recover } from '../spool/recover.ts'
import { readReport, writeReport } from '../spool/report.ts'
import { hasWork } from '../spool/survey.ts'
import { Bell } from './bell.ts'
import { Claimer } from './claimer.ts'
import { Housekeeping } from './housekeeping.ts'
import { ownIdentity } from './identity.ts'
import { lockIdentity } from './lock.ts'
import type { Standing } from './notify.ts'

/** A backlog that only waits for a destination that is down is read again in at most a tenth of the time. */
const RESCAN_SHARE = 10
/** How often the report follows what is under way. */
const REPORT_EVERY_MS = 1_000
/** Hanging a bell reads the directory once; over a larger one only the rescan watches. */
const BELL_MAX = 50_000
/** A drain that lingers stays so long with nothing to do. */
const QUIET_MS = 5_000

export interface LoopContext {
  spool: Spool
  roots: GcRoots
  storeDir: string
  config: Config
  log: Logger
  /** Called when what `standing` says is another than before in some way that matters. */
  onChange: () => void
  observer?: Observer | undefined
}

/**
 * When a loop ends: when it is told to (`watch`), when nothing more can be done now (`drain`), or when nothing waits
 * any more, not even for a destination that is down: at once (`exec`), or after a while of that (`drain --linger`).
 */
export type Until = 'stopped' | 'idle' | 'settled' | 'empty'

/** How a loop ended. */
export interface LoopResult {
  done: number
  failed: number
  /** True where jobs are left that must wait. */
  isWaiting: boolean
}

/** Claims jobs and has them delivered. */
export class Loop {
  readonly #context: LoopContext
  readonly #delivery: Delivery
  readonly #claimer: Claimer
  readonly #jobBell: Bell
  readonly #pauseBell: Bell
  readonly #housekeeping: Housekeeping
  readonly #startedAt = new Date().toISOString()
  readonly #lock: string
  #wasPaused = false
  #lastRescan = 0
  #until: Until = 'stopped'
  #isStopping = false
  #wake: () => void = () => undefined
  #isAwake = true
  #isAsleep = false
  #hasGotOn = false
  #hasSaidStray = false
  #emptySince: number | undefined
  /** Set while something is under way: the report is brought up to date when it is over. */
  #nextReport: NodeJS.Timeout | undefined

  constructor(context: LoopContext) {
    const { spool, roots, config, log } = context
    this.#context = context
    this.#lock = lockIdentity(spool)
    this.#delivery = new Delivery({
      spool,
      roots,
      config,
      log,
      onChange: () => this.#ring(),
      onHealth: () => this.#report(),
      observer: context.observer,
    })
    this.#claimer = new Claimer(context, this.#delivery)
    this.#jobBell = new Bell(spool.new, () => this.#ring())
    this.#pauseBell = new Bell(spool.root, (name) => {
      if (isPauseFile(name)) this.#ring()
    })
    this.#housekeeping = new Housekeeping(context)
    this.#rememberSuccess()
  }

  /** Stops claiming; `run` then ends once the running copies did, or the grace is over. */
  stop(): void {
    this.#isStopping = true
    this.#ring()
  }

  /** Ends the running copies now. */
  abort(): void {
    this.#delivery.abort()
    this.stop()
  }

  /** Takes the limits of another configuration over. */
  setRates(config: Config): void {
    this.#delivery.setRates(config)
  }

  /** Has a running loop end otherwise than it was told at first; what came up to now is looked for once more. */
  endWhen(until: Until): void {
    this.#until = until
    this.#claimer.scan.wet()
    this.#ring()
  }

  /** @param onReady Called once what a dead daemon left is back in `new/` (docs/SPOOL.md, T7). */
  async run(until: Until, onReady: () => void = () => undefined): Promise<LoopResult> {
    const isStaying = until !== 'idle'
    this.#until = until
    this.#report()
    this.#recover()
    onReady()
    const rescan = setInterval(() => this.#rescan(), this.#context.config.rescanMs)
    // Also where a turn throws (a full disk, say): what was claimed goes back, and nothing is left that runs on.
    try {
      if (isStaying) await this.#pauseBell.hang()
      while (!this.#isStopping) {
        await (isStaying ? this.#turnOrLog() : this.#turn())
        this.#hasGotOn = true
        if (this.#mayEnd()) break
        if (isStaying) await this.#hangBell()
        await this.#sleep()
      }
    } finally {
      clearInterval(rescan)
      await this.#close()
    }
    const { done, failed } = this.#delivery.tally
    return { done, failed: failed + this.#claimer.rejected, isWaiting: hasWork(this.#context.spool) }
  }

  /** False where the loop has hung since it was last asked: neither asleep nor stopping nor any further. */
  takeWellness(): boolean {
    const isWell = this.#isAsleep || this.#isStopping || this.#hasGotOn
    this.#hasGotOn = false
    return isWell
  }

  standing(): Standing {
    return {
      isPaused: this.#wasPaused,
      isStopping: this.#isStopping,
      inHand: this.#delivery.inHand,
      done: this.#delivery.tally.done,
      failed: this.#delivery.tally.failed + this.#claimer.rejected,
      destinations: this.#delivery.report(),
    }
  }

  /** How many bytes went out to each destination since the start. */
  sentBytes(): Record<string, number> {
    return Object.fromEntries(
      this.#delivery.lanes.map(({ destination, sent }) => [destination.name, sent.bytes]),
    )
  }

  async #close(): Promise<void> {
    await this.#delivery.stop(this.#context.config.stopGraceMs)
    await this.#housekeeping.stop()
    clearTimeout(this.#nextReport)
    await Promise.all([this.#jobBell.takeDown(), this.#pauseBell.takeDown()])
    this.#report()
    this.#claimer.scan.close()
  }

  /** Claims as much as there is room for and starts what can be started. */
  async #turn(): Promise<void> {
    this.#notePause()
    if (this.#wasPaused) return
    await this.#claimer.claim(this.#jobBell.takeNames(), () => {
      this.#hasGotOn = true // a look at one of a million files, say
      return this.#isStopping
    })
    this.#delivery.start()
    this.#reportSoon()
  }

  /** A spool that can't be read now (a lost mount, no file handles left) is read again at the next rescan. */
  async #turnOrLog(): Promise<void> {
    try {
      await this.#turn()
    } catch (error) {
      if (codeOf(error) === undefined) throw error
      const message = 'the spool could not be read; it is tried again at the next rescan'
      this.#context.log.error({ error: wordsOf(error) }, message)
    }
  }

  #notePause(): void {
    const paused = isPaused(this.#context.spool)
    if (paused !== this.#wasPaused) this.#context.log.info(paused ? 'paused: nothing is claimed' : 'resumed')
    for (const lane of this.#delivery.lanes)
      lane.isPaused = isPaused(this.#context.spool, lane.destination.name)
    if (paused) this.#delivery.releaseIdle()
    else if (this.#wasPaused) this.#claimer.scan.wet()
    const isChanged = paused !== this.#wasPaused
    this.#wasPaused = paused
    if (isChanged) this.#context.onChange()
  }

  #recover(): void {
    const { spool, log } = this.#context
    const returned = recover(spool, (name) => this.#delivery.isOurs(name))
    if (returned.length === 0) return
    log.info({ jobs: returned.length }, 'returned to new/ what nobody was delivering')
    this.#claimer.scan.wet()
  }

  #rescan(): void {
    const quietMs = performance.now() - this.#lastRescan
    if (quietMs < this.#claimer.scan.lastPassMs * RESCAN_SHARE) return
    this.#lastRescan = performance.now()
    try {
      this.#recover()
    } catch (error) {
      this.#context.log.error({ error: wordsOf(error) }, 'cur/ could not be read')
    }
    this.#housekeeping.run(this.#delivery.tally.done)
    this.#claimer.scan.wet()
    this.#ring()
  }

  #mayEnd(): boolean {
    if (this.#until === 'idle') return this.#isThrough()
    if (this.#until === 'settled') return this.#isEmpty()
    return this.#until === 'empty' && this.#isQuiet()
  }

  /** Nothing is under way, and nothing more can be taken on: there is nothing, or no destination has room. */
  #isThrough(): boolean {
    if (this.#wasPaused) return true
    return !this.#delivery.isRunning && (this.#claimer.scan.isDry || this.#claimer.isFull)
  }

  /** Nothing was left for a while: where builds end one after the other, not each needs a start of ours. */
  #isQuiet(): boolean {
    const now = performance.now()
    const isFirst = this.#emptySince === undefined
    this.#emptySince = this.#isEmpty() ? (this.#emptySince ?? now) : undefined
    if (this.#emptySince === undefined) return false
    if (isFirst) setTimeout(() => this.#ring(), QUIET_MS + 1)
    return now - this.#emptySince >= QUIET_MS
  }

  /** Nothing is left at all, as a path unit sees it, which would start us again at once. */
  #isEmpty(): boolean {
    const { spool, log } = this.#context
    if (this.#delivery.inHand > 0 || hasWork(spool)) return false
    const stray = firstVisible(spool.new)
    if (stray === undefined) return true
    if (!this.#hasSaidStray) log.warn({ file: stray }, 'new/ holds something that is no job; take it away')
    this.#hasSaidStray = true
    return false
  }

  async #hangBell(): Promise<void> {
    if (this.#jobBell.isHung || !this.#claimer.scan.isDry || this.#claimer.scan.left > BELL_MAX) return
    await this.#jobBell.hang()
    // What came between the last look and the first ring.
    this.#claimer.scan.wet()
    this.#isAwake = true
  }

  /** For what matters to the service manager too. */
  #report(): void {
    this.#writeReport()
    this.#context.onChange()
  }

  #writeReport(): void {
    const { spool, log } = this.#context
    try {
      // Another daemon took the lock, as happens to one that was stopped for long: the report is that one's now.
      if (lockIdentity(spool) !== this.#lock) return
      writeReport(spool, {
        pid: process.pid,
        identity: ownIdentity(),
        lock: this.#lock,
        startedAt: this.#startedAt,
        destinations: this.#delivery.report(),
      })
    } catch (error) {
      log.warn({ error: wordsOf(error) }, 'the report for `nix-upload status` could not be written')
    }
  }

  /** Says how far the running copies are, once a second, and once more when they are through. */
  #reportSoon(): void {
    if (this.#nextReport || !this.#delivery.isRunning) return
    this.#nextReport = setTimeout(() => {
      this.#nextReport = undefined
      this.#writeReport()
      this.#reportSoon()
    }, REPORT_EVERY_MS)
  }

  /** When something last went through is known from the last daemon's report, which ours is going to replace. */
  #rememberSuccess(): void {
    const before = readReport(this.#context.spool)?.destinations ?? {}
    for (const { destination, health } of this.#delivery.lanes) {
      const known = before[destination.name]
      if (known?.to === destination.to) health.remember(known.lastSuccessAt)
    }
  }

  #ring(): void {
    this.#isAwake = true
    this.#wake()
  }

  async #sleep(): Promise<void> {
    this.#isAsleep = true
    if (!this.#isAwake) await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#isAsleep = false
    this.#isAwake = false
  }
}

/** The first entry that is not hidden. */
function firstVisible(directory: string): string | undefined {
  for (const { name } of entriesOf(directory)) if (!name.startsWith('.')) return name
  return undefined
}
