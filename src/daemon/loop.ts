import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { Delivery } from '../delivery/delivery.ts'
import type { Observer } from '../delivery/observer.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import type { Spool } from '../spool/layout.ts'
import { isPaused, isPauseFile } from '../spool/pause.ts'
import { entriesOf } from '../spool/read.ts'
import { recover } from '../spool/recover.ts'
import { hasWork } from '../spool/survey.ts'
import { codeOf, wordsOf } from '../util/user-error.ts'
import { Bell } from './bell.ts'
import { Claimer } from './claimer.ts'
import { Ending, type Until } from './ending.ts'
import { Housekeeping } from './housekeeping.ts'
import type { Standing } from './notify.ts'
import { Protector } from './protector.ts'
import { Reporter } from './reporter.ts'

/** A backlog that only waits for a destination that is down is read again in at most a tenth of the time. */
const RESCAN_SHARE = 10
/** Hanging a bell reads the directory once; over a larger one only the rescan watches. */
const BELL_MAX = 50_000
/** While nothing can be claimed, the bell is hung and taken down more often, so this is less. */
const BELL_MAX_FULL = 5_000

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
  readonly #protector: Protector
  readonly #claimer: Claimer
  readonly #jobBell: Bell
  readonly #pauseBell: Bell
  readonly #housekeeping: Housekeeping
  readonly #reporter: Reporter
  readonly #ending: Ending
  #wasPaused = false
  #lastRescan = 0
  #isStopping = false
  #wake: () => void = () => undefined
  #isAwake = true
  #isAsleep = false
  #hasGotOn = false
  /** What lies in `cur/` and can't be moved, to say so only once. */
  readonly #stuck = new Set<string>()

  constructor(context: LoopContext) {
    const { spool, roots, config, log } = context
    this.#context = context
    this.#delivery = new Delivery({
      spool,
      roots,
      config,
      log,
      onChange: () => this.#ring(),
      onHealth: () => this.#report(),
      observer: context.observer,
    })
    this.#protector = new Protector(context)
    const [protector, ringOnce] = [this.#protector, () => this.#ring()]
    const onMany = () => this.#onMany()
    this.#claimer = new Claimer({ ...context, protector, ring: ringOnce, onMany }, this.#delivery)
    this.#jobBell = new Bell(spool.new, () => this.#ring())
    this.#pauseBell = new Bell(spool.root, (name) => {
      if (isPauseFile(name)) this.#ring()
    })
    this.#housekeeping = new Housekeeping(context, this.#protector)
    this.#reporter = new Reporter(context, this.#delivery)
    const [delivery, claimer, ring] = [this.#delivery, this.#claimer, () => this.#ring()]
    this.#ending = new Ending('stopped', { spool, log, delivery, claimer, ring })
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
    this.#ending.until = until
    this.#claimer.scan.wet()
    this.#ring()
  }

  /** @param onReady Called once what a dead daemon left is back in `new/` (docs/SPOOL.md, T7). */
  async run(until: Until, onReady: () => void = () => undefined): Promise<LoopResult> {
    const isStaying = until !== 'idle'
    this.#ending.until = until
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
        if (this.#ending.isReached(this.#wasPaused)) {
          if (!isStaying && hasWork(this.#context.spool)) await this.#housekeeping.protectAll()
          break
        }
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
    await this.#protector.stop()
    this.#reporter.stop()
    await Promise.all([this.#jobBell.takeDown(), this.#pauseBell.takeDown()])
    this.#report()
    this.#claimer.close()
  }

  /** Claims as much as there is room for and starts what can be started. */
  async #turn(): Promise<void> {
    this.#notePause()
    if (this.#wasPaused) return this.#protectHeard()
    await this.#claimer.claim(this.#jobBell.takeNames(), () => {
      this.#hasGotOn = true // a look at one of a million files, say
      return this.#isStopping
    })
    this.#delivery.start()
    this.#reporter.follow()
  }

  /** While nothing is claimed, whatever comes in gets its GC roots all the same. */
  #protectHeard(): void {
    const heard = this.#jobBell.takeNames()
    if (heard) this.#claimer.protect(heard)
    if (!heard) this.#housekeeping.hurry()
  }

  /** What a destination leaves behind that is down may be too much for the bell to be hung again. */
  async #onMany(): Promise<void> {
    const areAllUp = this.#delivery.lanes.every(({ health, isPaused }) => !health.isDown && !isPaused)
    if (areAllUp) await this.#muffle()
  }

  /** While a backlog is taken on, nobody needs to hear of more; and each claim would ring. */
  async #muffle(): Promise<void> {
    if (this.#claimer.scan.left > BELL_MAX) return
    await this.#jobBell.takeDown()
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
    const isOurs = (name: string) => this.#delivery.isOurs(name)
    const returned = recover(spool, isOurs, ({ name, error }) => {
      if (this.#stuck.has(name)) return
      this.#stuck.add(name)
      log.error(
        { job: name, error: wordsOf(error) },
        "the job can't be moved out of cur/, so it is left alone",
      )
    })
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

  async #hangBell(): Promise<void> {
    if (this.#jobBell.isHung) return
    if (!this.#mayHangBell()) {
      // What comes in unheard has no roots before it is claimed, so that these are looked for.
      this.#housekeeping.hurry()
      return
    }
    await this.#jobBell.hang()
    // What came between the last look and the first ring.
    if (this.#wasPaused) void this.#housekeeping.protectAll()
    else if (!this.#claimer.scan.isDry) this.#housekeeping.hurry()
    this.#claimer.scan.wet()
    this.#isAwake = true
  }

  /** While nothing is claimed (paused, full), what comes in gets its roots, and how much is there nobody has counted. */
  #mayHangBell(): boolean {
    const { scan, isFull } = this.#claimer
    if (scan.isDry) return scan.left <= BELL_MAX
    if (!this.#wasPaused && !isFull) return false
    let entries = 0
    for (const _ of entriesOf(this.#context.spool.new)) if (++entries > BELL_MAX_FULL) return false
    return true
  }

  /** For what matters to the service manager too. */
  #report(): void {
    this.#reporter.write()
    this.#context.onChange()
  }

  #ring(): void {
    this.#isAwake = true
    this.#wake()
  }

  async #sleep(): Promise<void> {
    this.#isAsleep = true
    if (!this.#isAwake) await new Promise<void>((resolve) => (this.#wake = resolve))
    // What comes in a burst is one turn's work.
    await nextTurn()
    this.#isAsleep = false
    this.#isAwake = false
  }
}
