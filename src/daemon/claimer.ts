import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type Delivery, MAX_IN_HAND } from '../delivery/delivery.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import { claim, type Look, SETTLING_MS } from '../spool/claim.ts'
import type { Spool } from '../spool/layout.ts'
import { reject } from '../spool/settle.ts'
import { isStuck } from '../spool/stuck.ts'
import { exists } from '../spool/write.ts'
import { wordsOf } from '../util/user-error.ts'
import type { Protector } from './protector.ts'
import { Scan } from './scan.ts'

/** After so many looks at files, a millisecond or two, the event loop gets its turn: a batch that is on its way comes first. */
const LOOKS_PER_TURN = 25
/** After so many, an idle destination gets its work. */
const EARLY_LOOKS = 100
/** So many files that can't be moved away are remembered, to warn of each only once. */
const STUCK_REMEMBERED = 1000
/** A file that nobody ever stops writing to is judged after so long. */
const PATIENCE_MS = 60_000
/** So many files that may be half written are known by name; all of `new/` is looked at for more. */
const FRESH_REMEMBERED = 1000

interface ClaimerContext {
  spool: Spool
  roots: GcRoots
  storeDir: string
  log: Logger
  protector: Protector
  /** Called when what may have been half written is worth another look. */
  ring: () => void
  /** Called while many jobs are claimed in a row. */
  onMany: () => Promise<void>
}

/** Claims jobs for a delivery, as many as it has room for: those somebody named, and those that a scan finds. */
export class Claimer {
  readonly scan: Scan
  /** How many files were no valid jobs. */
  rejected = 0
  readonly #context: ClaimerContext
  readonly #delivery: Delivery
  readonly #stuck = new Set<string>()
  #hadRoom: ReadonlySet<unknown> = new Set()
  /** Something was left of what somebody named, which no scan has counted yet. */
  #hasLeftHeard = false
  /** When each file that may be half written was seen first. */
  readonly #fresh = new Map<string, number>()
  #nextLook: NodeJS.Timeout | undefined

  constructor(context: ClaimerContext, delivery: Delivery) {
    this.#context = context
    this.#delivery = delivery
    this.scan = new Scan(context.spool.new)
  }

  /**
   * Claims until there is no more room, or no more jobs.
   * @param heard Names that came since the last time; undefined where there were too many to tell.
   * @param isStopping Asked now and then.
   */
  async claim(heard: ReadonlySet<string> | undefined, isStopping: () => boolean): Promise<void> {
    this.#noticeRoom()
    if (!heard) this.scan.wet()
    for (const name of new Set([...(heard ?? []), ...this.#takeFresh()])) {
      if (this.#isOwnNoise(name)) continue
      if (this.isFull) this.scan.wet()
      // A file that may be no job is judged in any case: nothing of it is claimed where there is no room.
      const isPassedOver = this.isFull && !this.#fresh.has(name)
      const isLeft = isPassedOver || this.#look(name) === 'left'
      if (!isLeft) continue
      this.#hasLeftHeard ||= !this.isFull
      this.#context.protector.protect('new', name)
    }
    this.#delivery.isFilling = true
    try {
      await this.#claimFromScan(isStopping)
    } finally {
      this.#delivery.isFilling = false
    }
    this.#hadRoom = new Set(this.#lanesWithRoom())
  }

  async #claimFromScan(isStopping: () => boolean): Promise<void> {
    for (let looks = 1, taken = 0; !this.isFull && !isStopping(); looks++) {
      const name = this.scan.next()
      if (name === undefined) break
      const became = this.#look(name)
      this.scan.note(became)
      if (became === 'taken') taken++
      if (looks % LOOKS_PER_TURN > 0) continue
      if (taken > 0) this.#delivery.getReady()
      if (looks % EARLY_LOOKS === 0) this.#delivery.startUntried()
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
    return this.#nextLook !== undefined || this.#fresh.size > 0
  }

  close(): void {
    clearTimeout(this.#nextLook)
    this.#nextLook = undefined
    this.scan.close()
  }

  /** The files that may have been half written, once it is time to look at them again. */
  #takeFresh(): string[] {
    return this.#nextLook ? [] : [...this.#fresh.keys()]
  }

  /** Leaves a file that may be half written alone for a while. Returns false where it was left alone for long enough. */
  #waitFor(name: string): boolean {
    const now = performance.now()
    const since = this.#fresh.get(name) ?? now
    if (now - since > PATIENCE_MS) return false
    if (this.#fresh.size < FRESH_REMEMBERED) this.#fresh.set(name, since)
    this.#nextLook ??= setTimeout(() => {
      this.#nextLook = undefined
      if (this.#fresh.size >= FRESH_REMEMBERED) this.scan.wet()
      this.#context.ring()
    }, SETTLING_MS)
    return true
  }

  /** A job makes itself heard when it is claimed, too. */
  #isOwnNoise(name: string): boolean {
    return this.#delivery.isOurs(name) && !exists(join(this.#context.spool.new, name))
  }

  /** True while there is no room for another job. */
  get isFull(): boolean {
    return !this.#delivery.hasRoom || this.#delivery.inHand >= MAX_IN_HAND
  }

  /** What was left for want of room at a destination is worth another look once that one has room. */
  #noticeRoom(): void {
    const hasLeft = this.scan.left > 0 || this.#hasLeftHeard
    if (!hasLeft || this.#lanesWithRoom().every((lane) => this.#hadRoom.has(lane))) return
    this.scan.wet()
    this.#hasLeftHeard = false
  }

  #lanesWithRoom() {
    return this.#delivery.lanes.filter((lane) => lane.room > 0)
  }

  #look(name: string): 'taken' | 'left' | 'gone' {
    const { log } = this.#context
    const look = this.#claim(name)
    if (look.kind === 'invalid' && look.isFresh && this.#waitFor(name)) return 'left'
    this.#fresh.delete(name)
    if (look.kind === 'invalid') return this.#reject(name, look.reason)
    if (look.kind !== 'claimed') return look.kind
    this.#context.protector.tellOf(look.newlyRooted)
    if (look.rootsError !== undefined) {
      const message = 'no GC roots: its paths may be collected before the upload'
      log.warn({ job: name, error: wordsOf(look.rootsError) }, message)
    }
    this.#delivery.accept(look.claimed)
    return 'taken'
  }

  /** A file that can't be read or moved (a bad sector, an immutable file) is no reason to keep others waiting. */
  #claim(name: string): Look {
    const { spool, roots, storeDir } = this.#context
    try {
      const look = claim(spool, roots, storeDir, name, (job) => this.#delivery.wants(job))
      // Node puts U+FFFD for what is no UTF-8, and then finds no file of that name.
      if (look.kind !== 'gone' || !name.includes('\u{FFFD}')) return look
      this.#warnOnce(name, 'its name is not UTF-8 text', 'the job cannot be claimed until it is renamed')
    } catch (error) {
      if (!isStuck(error)) throw error
      this.#warnOnce(name, error, 'the job cannot be claimed, so it is left alone')
    }
    return { kind: 'left' }
  }

  /** What can't be moved away is left alone. */
  #reject(name: string, reason: string): 'taken' | 'left' | 'gone' {
    const { spool, log } = this.#context
    try {
      if (reject(spool, name, reason) === undefined) return 'gone'
      this.rejected++
      log.error({ job: name, error: reason }, 'no valid job: moved to failed/')
      return 'taken'
    } catch (error) {
      const message = `no valid job (${reason}), and it can't be moved to failed/, so it is left alone`
      this.#warnOnce(name, error, message)
      return 'left'
    }
  }

  #warnOnce(name: string, error: unknown, message: string): void {
    if (this.#stuck.has(name) || this.#stuck.size >= STUCK_REMEMBERED) return
    this.#stuck.add(name)
    this.#context.log.error({ job: name, error: wordsOf(error) }, message)
  }
}
