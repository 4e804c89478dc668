import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { wordsOf } from '../config/user-error.ts'
import { Delivery } from '../delivery/delivery.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import { claim } from '../spool/claim.ts'
import type { Spool } from '../spool/layout.ts'
import { isPaused, isPauseFile } from '../spool/pause.ts'
import { recover } from '../spool/recover.ts'
import { writeReport } from '../spool/report.ts'
import { reject } from '../spool/settle.ts'
import { Bell } from './bell.ts'
import { Housekeeping } from './housekeeping.ts'
import { ownIdentity } from './identity.ts'
import { lockIdentity } from './lock.ts'
import { Scan } from './scan.ts'

/** At most so many jobs are claimed at once; the rest wait in `new/`, where they cost no memory. */
const MAX_IN_HAND = 1000
/** The event loop gets its turn after so many looks at files, some milliseconds. */
const LOOKS_PER_TURN = 200
/** A backlog that only waits for a destination that is down is read again in at most a tenth of the time. */
const RESCAN_SHARE = 10
/** Hanging a bell reads the directory once; over a larger one only the rescan watches. */
const BELL_MAX = 50_000

export interface LoopContext {
  spool: Spool
  roots: GcRoots
  storeDir: string
  config: Config
  log: Logger
}

/** How a loop ended. */
export interface LoopResult {
  done: number
  failed: number
  /** True where jobs are left that must wait. */
  isWaiting: boolean
}

/** Claims jobs and has them delivered: until stopped (`watch`), or until nothing more can be done now (`drain`). */
export class Loop {
  readonly #context: LoopContext
  readonly #delivery: Delivery
  readonly #scan: Scan
  readonly #jobBell: Bell
  readonly #pauseBell: Bell
  readonly #housekeeping: Housekeeping
  readonly #startedAt = new Date().toISOString()
  readonly #rejectFailures = new Set<string>()
  #roomBefore = new Set<string>()
  #wasPaused = false
  #lastRescan = 0
  #isStopping = false
  #wake: () => void = () => undefined
  #isAwake = true

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
    })
    this.#scan = new Scan(spool.new)
    this.#jobBell = new Bell(spool.new, () => this.#ring())
    this.#pauseBell = new Bell(spool.root, (name) => {
      if (isPauseFile(name)) this.#ring()
    })
    this.#housekeeping = new Housekeeping(context)
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

  /** @param until `stopped`: goes on until `stop` is called; `idle`: ends when nothing more can be done now. */
  async run(until: 'stopped' | 'idle'): Promise<LoopResult> {
    this.#report()
    this.#recover()
    const rescan = setInterval(() => this.#rescan(), this.#context.config.rescanMs)
    if (until === 'stopped') await this.#pauseBell.hang()
    while (!this.#isStopping) {
      await this.#turn()
      if (until === 'idle' && this.#isThrough()) break
      if (until === 'stopped') await this.#hangBell()
      await this.#sleep()
    }
    clearInterval(rescan)
    const isWaiting = this.#wasPaused || this.#delivery.inHand > 0 || this.#scan.left > 0
    await this.#close()
    return { ...this.#delivery.tally, isWaiting }
  }

  async #close(): Promise<void> {
    await this.#delivery.stop(this.#context.config.stopGraceMs)
    this.#scan.close()
    await this.#housekeeping.stop()
    await Promise.all([this.#jobBell.takeDown(), this.#pauseBell.takeDown()])
    this.#report()
  }

  /** Claims as much as there is room for and starts what can be started. */
  async #turn(): Promise<void> {
    try {
      this.#notePause()
      if (!this.#wasPaused) {
        this.#wetForNewRoom()
        this.#claimHeard()
        await this.#claimScanned()
        this.#delivery.start()
      }
    } catch (error) {
      this.#context.log.error(
        { error: wordsOf(error) },
        'the spool could not be read; trying again at the next rescan',
      )
    }
  }

  #notePause(): void {
    const paused = isPaused(this.#context.spool)
    if (paused !== this.#wasPaused) this.#context.log.info(paused ? 'paused: nothing is claimed' : 'resumed')
    for (const lane of this.#delivery.lanes)
      lane.isPaused = isPaused(this.#context.spool, lane.destination.name)
    if (paused) this.#delivery.releaseIdle()
    else if (this.#wasPaused) this.#scan.wet()
    this.#wasPaused = paused
  }

  /** What was left for want of room at a destination is worth another look once that one has room. */
  #wetForNewRoom(): void {
    const room = new Set(
      this.#delivery.lanes.filter((lane) => lane.room > 0).map((lane) => lane.destination.name),
    )
    if (this.#scan.left > 0 && [...room].some((name) => !this.#roomBefore.has(name))) this.#scan.wet()
    this.#roomBefore = room
  }

  #claimHeard(): void {
    const names = this.#jobBell.takeNames()
    if (!names) this.#scan.wet()
    for (const name of names ?? []) {
      if (this.#isFull) this.#scan.wet()
      else this.#look(name)
    }
  }

  async #claimScanned(): Promise<void> {
    for (let looks = 1; !this.#isFull && !this.#isStopping; looks++) {
      const name = this.#scan.next()
      if (name === undefined) return
      this.#scan.note(this.#look(name))
      if (looks % LOOKS_PER_TURN === 0) await nextTurn()
    }
  }

  get #isFull(): boolean {
    return !this.#delivery.hasRoom || this.#delivery.inHand >= MAX_IN_HAND
  }

  #look(name: string): 'taken' | 'left' | 'gone' {
    const { spool, roots, storeDir, log } = this.#context
    const look = claim(spool, roots, storeDir, name, (job) => this.#delivery.wants(job))
    if (look.kind === 'invalid') return this.#reject(name, look.reason)
    if (look.kind !== 'claimed') return look.kind
    if (look.rootsError !== undefined) {
      log.warn(
        { job: name, error: wordsOf(look.rootsError) },
        'no GC roots: its paths may be collected before the upload',
      )
    }
    this.#delivery.accept(look.claimed)
    return 'taken'
  }

  /** What can't be moved away is left alone, with one warning. */
  #reject(name: string, reason: string): 'taken' | 'left' {
    const { spool, log } = this.#context
    try {
      reject(spool, name, reason)
      log.error({ job: name, error: reason }, 'no valid job: moved to failed/')
      return 'taken'
    } catch (error) {
      const isNew = !this.#rejectFailures.has(name) && this.#rejectFailures.size < MAX_IN_HAND
      if (isNew)
        log.error(
          { job: name, error: wordsOf(error) },
          `no valid job (${reason}), and it can't be moved to failed/`,
        )
      this.#rejectFailures.add(name)
      return 'left'
    }
  }

  #recover(): void {
    const { spool, log } = this.#context
    const returned = recover(spool, (name) => this.#delivery.isOurs(name))
    if (returned.length === 0) return
    log.info({ jobs: returned.length }, 'returned to new/ what nobody was delivering')
    this.#scan.wet()
  }

  #rescan(): void {
    const quietMs = performance.now() - this.#lastRescan
    if (quietMs < this.#scan.lastPassMs * RESCAN_SHARE) return
    this.#lastRescan = performance.now()
    try {
      this.#recover()
    } catch (error) {
      this.#context.log.error({ error: wordsOf(error) }, 'cur/ could not be read')
    }
    this.#housekeeping.run(this.#delivery.tally.done)
    this.#scan.wet()
    this.#ring()
  }

  #isThrough(): boolean {
    return this.#wasPaused || (this.#scan.isDry && !this.#delivery.isRunning)
  }

  async #hangBell(): Promise<void> {
    if (this.#jobBell.isHung || !this.#scan.isDry || this.#scan.left > BELL_MAX) return
    await this.#jobBell.hang()
    // What came between the last look and the first ring.
    this.#scan.wet()
    this.#isAwake = true
  }

  #report(): void {
    const { spool, log } = this.#context
    try {
      writeReport(spool, {
        pid: process.pid,
        identity: ownIdentity(),
        lock: lockIdentity(spool),
        startedAt: this.#startedAt,
        destinations: this.#delivery.report(),
      })
    } catch (error) {
      log.warn({ error: wordsOf(error) }, 'the report for `nix-upload status` could not be written')
    }
  }

  #ring(): void {
    this.#isAwake = true
    this.#wake()
  }

  async #sleep(): Promise<void> {
    if (!this.#isAwake) await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#isAwake = false
  }
}
