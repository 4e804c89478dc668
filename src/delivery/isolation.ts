import type { Unrealised } from '../nix/realisations.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import { own } from '../util/own.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { UploadFailure, type Verdict } from '../util/verdict.ts'
import { type Failure, failureOf } from './failure.ts'
import type { Outcome } from './outcome.ts'
import { type Item, pathsOf, type Target } from './prepare.ts'
import { noteOnDelivery, sendRealisations } from './realisations.ts'

/**
 * Sends jobs together, and finds those that make the others fail. If the reason of a failed copy may be a single
 * job, the copy is split until the culprit is alone. If the reason may also be the destination, one or two jobs are
 * sent alone first: if they fail too, the destination is to blame, and nothing is split.
 */
export class Isolation {
  readonly outcomes = new Map<ClaimedJob, Outcome>()
  /** How many times something was sent. */
  runs = 0
  readonly #target: Target
  readonly #signal: AbortSignal
  /** Something went through, so the destination is well, whatever else fails. */
  #isProven = false

  readonly #progress: UploadProgress

  constructor(target: Target, signal: AbortSignal, progress: UploadProgress) {
    this.#target = target
    this.#signal = signal
    this.#progress = progress
  }

  /**
   * @param isNamedRest True for the rest of a batch without the jobs that an error named. If the rest fails too, the names are
   * ignored: a program may name whatever came first.
   * @throws The trouble of the destination; jobs without an outcome share it.
   */
  async deliver(items: readonly Item[], isNamedRest = false): Promise<void> {
    const failure = await this.#send(items)
    if (!failure) return
    const [only] = items
    if (items.length === 1 && only) return await this.#decide(only, failure)
    const named = isNamedRest ? [] : items.filter((item) => isNamed(item, failure.verdict))
    const isTold = named.length > 0 && named.length < items.length
    const isInDoubt = failure.verdict.blame !== 'job' && !this.#isProven && !(isTold && this.runs === 1)
    const left = isInDoubt ? await this.#prove(items) : items
    if (isTold) {
      await this.#deliverPart(
        left.filter((item) => !named.includes(item)),
        true,
      )
      await this.#deliverPart(left.filter((item) => named.includes(item)))
    } else {
      const middle = Math.ceil(left.length / 2)
      await this.#deliverPart(left.slice(0, middle))
      await this.#deliverPart(left.slice(middle))
    }
  }

  async #deliverPart(items: readonly Item[], isNamedRest = false): Promise<void> {
    if (items.length > 0) await this.deliver(items, isNamedRest)
  }

  /** Returns the error if it may be a single job's fault and it isn't known whose. */
  async #send(items: readonly Item[]): Promise<Failure | undefined> {
    const drvPaths = [...new Set(items.flatMap((item) => item.drvPaths))]
    this.runs++
    const { uploader } = this.#target
    const sentBefore = this.#progress.sentBytes
    let failures: ReadonlyMap<string, UploadFailure>
    let unrealised: Unrealised
    const failureOfItem = (item: Item) =>
      [...item.paths, ...item.drvPaths].map((path) => failures.get(path)).find(Boolean)
    try {
      const isRequeued = items.some(({ claimed }) => claimed.job.history.length > 0)
      const hints = { isRequeued, wasThere: this.#target.wasThere() }
      failures = await uploader.send(pathsOf(items), drvPaths, this.#signal, this.#progress, hints)
      const sent = items.filter((item) => !failureOfItem(item))
      // What was there already says nothing of whether anything is taken.
      const hasTaken = !uploader.countsBytes || this.#progress.sentBytes > sentBefore
      if (hasTaken && sent.length > 0) this.#isProven = true
      unrealised = await sendRealisations(sent, uploader, this.#signal, this.#progress)
    } catch (error) {
      const failure = failureOf(error)
      if (!failure || (failure.verdict.blame === 'destination' && !failure.isOfOneFile)) throw error
      return failure
    }
    const failed: [Item, UploadFailure][] = []
    for (const item of items) {
      const failure = failureOfItem(item)
      if (failure) failed.push([item, failure])
      else this.#deliver(item, noteOnDelivery(item, unrealised))
    }
    // Jobs that an error names are decided on once it is also known whether anything went through.
    for (const [item, failure] of failed) await this.#decide(item, failure)
    return undefined
  }

  #deliver({ claimed }: Item, note: string | undefined): void {
    this.outcomes.set(claimed, { kind: 'delivered', ...(note === undefined ? {} : { note }) })
  }

  /** Sends two jobs alone, the last and the first; returns the items that are still to be decided on. */
  async #prove(items: readonly Item[]): Promise<readonly Item[]> {
    const failures: [Item, Failure][] = []
    for (const item of [items.at(-1), items[0]]) {
      if (!item || this.#isProven) continue
      const failure = await this.#send([item])
      if (failure) failures.push([item, failure])
    }
    const isInDoubt = failures.every(([, { verdict }]) => verdict.blame !== 'job')
    const [first] = failures
    if (!this.#isProven && isInDoubt && first) {
      throw new UploadFailure({ ...first[1].verdict, blame: 'destination', permanent: false })
    }
    for (const [item, failure] of failures) await this.#decide(item, failure)
    return items.filter(({ claimed }) => !this.outcomes.has(claimed))
  }

  /** Whose fault it is that a job failed alone. */
  async #decide(item: Item, failure: Failure): Promise<void> {
    const { verdict } = failure
    const isItsOwn = verdict.blame === 'job' || this.#isProven || (await this.#isItsOwn(item, verdict))
    const kind = isItsOwn && failure.isTrouble ? 'held' : 'failed'
    const outcome = isItsOwn ? ownFailure(item, failure) : { ...verdict, blame: 'destination' as const }
    this.outcomes.set(item.claimed, { kind, verdict: outcome })
  }

  /** For a job that was sent alone: the destination is asked something harmless. */
  async #isItsOwn({ claimed, paths }: Item, { blame }: Verdict): Promise<boolean> {
    // It failed by itself before, while others went through.
    const isSuspect = (own(claimed.job.destinations, this.#target.destination.name)?.attempts ?? 0) > 0
    if (blame === 'destination' && !isSuspect) return false
    try {
      await this.#target.uploader.probe(paths, this.#signal)
      return true
    } catch (error) {
      if (!failureOf(error)) throw error
      return false
    }
  }
}

/** The error that a job's file gets for a failure of its own; it names the path. */
function ownFailure({ paths }: Item, { verdict }: Failure): Verdict {
  const [path = ''] = paths
  const which = paths.length > 1 ? `${path} (or another of the ${paths.length} of this job)` : path
  if (verdict.blame === 'destination') {
    const message = `the destination takes other paths, but refuses ${which}; ${verdict.said ?? verdict.message}`
    return { blame: 'job', permanent: false, message }
  }
  if (paths.some((path) => verdict.message.includes(path))) return verdict
  return { ...verdict, message: `${verdict.message} (while uploading ${which})` }
}

/** Whether Nix complains of a path of the job's. */
function isNamed({ paths }: Item, { path, message }: Verdict): boolean {
  return paths.some((own) => own === path || message.includes(own))
}
