import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Dispatcher } from '../delivery/dispatcher.ts'
import type { Worker } from '../delivery/worker.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import { claim, type Look } from '../spool/claim.ts'
import type { Spool } from '../spool/layout.ts'
import { reject } from '../spool/settle.ts'
import { isStuck } from '../spool/stuck.ts'
import { exists } from '../spool/write.ts'
import { wordsOf } from '../util/user-error.ts'
import { HalfWritten } from './half-written.ts'
import type { Protector } from './protector.ts'
import { Scan } from './scan.ts'
import type { StuckLog } from './stuck-log.ts'

/** After this many looks at files, a millisecond or two, the event loop gets its turn: a batch in flight comes first. */
const LOOKS_PER_TURN = 25
/** After this many claims, an idle destination gets work. */
const EARLY_LOOKS = 100

/** What it needs of the dispatcher. */
type Taker = Pick<
  Dispatcher,
  | 'isFull'
  | 'workersWithRoom'
  | 'wants'
  | 'isOurs'
  | 'accept'
  | 'getReady'
  | 'startUntried'
  | 'isFilling'
  | 'hasGivenBack'
>

interface ClaimerContext {
  spool: Spool
  roots: GcRoots
  storeDir: string
  log: Logger
  protector: Pick<Protector, 'protect' | 'tellOf'>
  stuckLog: StuckLog
  /** Called when a file that may have been half written is due for another look. */
  ring: () => void
  /** Called while many jobs are claimed in a row. */
  onMany: () => Promise<void>
}

/** Claims jobs for the dispatcher, as many as it has room for: those that the watcher named, and those that a scan finds. */
export class Claimer {
  readonly scan: Scan
  /** How many files were no valid jobs. */
  rejected = 0
  readonly #context: ClaimerContext
  readonly #dispatcher: Taker
  #hadRoom: readonly Worker[] = []
  /** Some named jobs were left behind, and no scan has counted them yet. */
  #hasLeftHeard = false
  readonly #halfWritten: HalfWritten

  constructor(context: ClaimerContext, dispatcher: Taker) {
    this.#context = context
    this.#dispatcher = dispatcher
    this.scan = new Scan(context.spool.new)
    this.#halfWritten = new HalfWritten((areMore) => {
      if (areMore) this.scan.lookAgain()
      context.ring()
    })
  }

  /**
   * Claims until there is no more room, or no more jobs.
   * @param heard Names that came since the last time; undefined if there were too many to keep.
   * @param isStopping Asked now and then.
   */
  async claim(heard: ReadonlySet<string> | undefined, isStopping: () => boolean): Promise<void> {
    this.#noticeRoom()
    if (!heard) this.scan.lookAgain()
    for (const name of new Set([...(heard ?? []), ...this.#halfWritten.due()])) {
      if (this.#isOwnNoise(name)) continue
      if (this.isFull) this.scan.lookAgain()
      // A file that may be no job is looked at in any case: if there is no room, nothing is claimed.
      const isPassedOver = this.isFull && !this.#halfWritten.has(name)
      const isLeft = isPassedOver || this.#look(name) === 'left'
      if (!isLeft) continue
      this.#hasLeftHeard ||= !this.isFull
      this.#context.protector.protect('new', name)
    }
    this.#dispatcher.isFilling = true
    try {
      await this.#claimFromScan(isStopping)
    } finally {
      this.#dispatcher.isFilling = false
    }
    this.#hadRoom = this.#dispatcher.workersWithRoom
  }

  async #claimFromScan(isStopping: () => boolean): Promise<void> {
    for (let looks = 1, taken = 0; !this.isFull && !isStopping(); looks++) {
      const name = this.scan.next()
      if (name === undefined) break
      const became = this.#look(name)
      this.scan.note(became)
      if (became === 'taken') taken++
      if (looks % LOOKS_PER_TURN > 0) continue
      if (taken > 0) this.#dispatcher.getReady()
      if (looks % EARLY_LOOKS === 0) this.#dispatcher.startUntried()
      if (taken >= EARLY_LOOKS) await this.#context.onMany()
      await nextTurn()
    }
  }

  /** Makes the GC roots of jobs that came while nothing is claimed. */
  protect(heard: ReadonlySet<string>): void {
    for (const name of heard) if (!this.#isOwnNoise(name)) this.#context.protector.protect('new', name)
  }

  /** True while a file that may be half written is to be looked at once more. */
  get isExpectingMore(): boolean {
    return !this.#halfWritten.isEmpty
  }

  close(): void {
    this.#halfWritten.stop()
    this.scan.close()
  }

  /** Claiming a job causes an event, too. */
  #isOwnNoise(name: string): boolean {
    return this.#dispatcher.isOurs(name) && !exists(`${this.#context.spool.new}/${name}`)
  }

  /** True while there is no room for another job. */
  get isFull(): boolean {
    return this.#dispatcher.isFull
  }

  /** When a destination has room again, the jobs that were left for lack of room are looked at again. */
  #noticeRoom(): void {
    const hasLeft = this.scan.left > 0 || this.#hasLeftHeard || this.#dispatcher.hasGivenBack
    if (!hasLeft || this.#dispatcher.workersWithRoom.every((worker) => this.#hadRoom.includes(worker))) return
    this.scan.lookAgain()
    this.#hasLeftHeard = false
    this.#dispatcher.hasGivenBack = false
  }

  #look(name: string): 'taken' | 'left' | 'gone' {
    const { log } = this.#context
    const look = this.#claim(name)
    if (look.kind === 'invalid' && look.isFresh && this.#halfWritten.wait(name)) return 'left'
    this.#halfWritten.forget(name)
    if (look.kind === 'invalid') return this.#reject(name, look.reason)
    if (look.kind !== 'claimed') return look.kind
    this.#context.protector.tellOf(look.newlyRooted)
    if (look.rootsError !== undefined) {
      const message = 'no GC roots: its paths may be collected before the upload'
      log.warn({ job: name, error: wordsOf(look.rootsError) }, message)
    }
    this.#dispatcher.accept(look.claimed)
    return 'taken'
  }

  /** A file that can't be read or moved (a bad sector, an immutable file) must not keep others waiting. */
  #claim(name: string): Look {
    const { spool, roots, storeDir } = this.#context
    try {
      const look = claim(spool, roots, storeDir, name, (job) => this.#dispatcher.wants(job))
      // Node replaces bytes that are not UTF-8 by U+FFFD, and then finds no file of that name.
      if (look.kind !== 'gone' || !name.includes('\u{FFFD}')) return look
      this.#context.stuckLog.job(
        name,
        'its name is not UTF-8 text',
        'the job cannot be claimed until it is renamed',
      )
    } catch (error) {
      if (!isStuck(error)) throw error
      this.#context.stuckLog.job(name, error, 'the job cannot be claimed, so it is left alone')
    }
    return { kind: 'left' }
  }

  /** A file that can't be moved away is left alone. */
  #reject(name: string, reason: string): 'taken' | 'left' | 'gone' {
    const { spool, log } = this.#context
    try {
      if (reject(spool, name, reason) === undefined) return 'gone'
      this.rejected++
      log.error({ job: name, error: reason }, 'no valid job: moved to failed/')
      return 'taken'
    } catch (error) {
      const message = `no valid job (${reason}), and it can't be moved to failed/, so it is left alone`
      this.#context.stuckLog.job(name, error, message)
      return 'left'
    }
  }
}
