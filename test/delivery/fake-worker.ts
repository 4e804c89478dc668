// A worker whose destination is played by the test: it sees what is sent, and says what comes of it.

import { pino } from 'pino'
import { vi } from 'vitest'
import type { Outcome } from '../../src/delivery/outcome.ts'
import { Worker } from '../../src/delivery/worker.ts'
import type { WorkerContext } from '../../src/delivery/worker-context.ts'
import type { ClaimedJob } from '../../src/spool/claim.ts'

export const DELIVERED: Outcome = { kind: 'delivered' }
export const DOWN: Outcome = {
  kind: 'failed',
  verdict: { blame: 'destination', permanent: false, message: 'connection refused' },
}
export const OWN_FAULT: Outcome = {
  kind: 'failed',
  verdict: { blame: 'job', permanent: false, message: 'refused' },
}

/** A job by a short name; its one path is of that name. */
export function jobOf(name: string): ClaimedJob {
  return { name, job: { outPaths: [name], destinations: {}, history: [], raw: {} } }
}

interface Sent {
  names: string
  end(outcome: Outcome | Error | ((name: string) => Outcome)): void
}

/**
 * Waits last as long as the fake timers say.
 * @param limits Over: batches of at most four paths, one at a time; 1 s to wait, doubling up to 8 s.
 * @param onOutcome What to do with a job that is through; it is removed unless told otherwise.
 */
export function fakeWorker(
  limits: Partial<WorkerContext['limits']> = {},
  onOutcome: (worker: Worker, claimed: ClaimedJob, outcome: Outcome) => void = (worker, claimed) =>
    worker.remove(claimed),
) {
  const told: string[] = []
  const sent: Sent[] = []
  const relations = new Set<string>()
  const jobs = new Map<string, ClaimedJob>()
  let answer: () => void = () => undefined
  const worker: Worker = new Worker({
    limits: { batchSize: 4, concurrency: 1, retryMinMs: 1000, retryMaxMs: 8000, ...limits },
    capacity: 8,
    log: pino({ level: 'silent' }),
    send: (batch, signal) =>
      new Promise((resolve, reject) => {
        const end: Sent['end'] = (outcome) => {
          if (outcome instanceof Error) return reject(outcome)
          const of = (name: string) => (typeof outcome === 'function' ? outcome(name) : outcome)
          resolve({ runs: 1, outcomes: new Map(batch.map((claimed) => [claimed, of(claimed.name)])) })
        }
        signal.addEventListener('abort', () => end({ kind: 'aborted' }))
        sent.push({ names: batch.map(({ name }) => name).join(' '), end })
      }),
    related: (_others, paths) =>
      new Promise((resolve) => {
        answer = () => resolve(new Set(paths.filter((path) => relations.has(path))))
      }),
    events: {
      onOutcome: (claimed, outcome) => onOutcome(worker, claimed, outcome),
      onDown: (error) => told.push(`down: ${error}`),
      onUp: (before) => told.push(`up after ${before}`),
      onBatch: () => undefined,
      onChange: () => worker.start(),
    },
  })
  return {
    worker,
    told,
    /** The batches, in order. */
    get sent() {
      return sent.map(({ names }) => names)
    },
    /** Says what came of a batch, given its jobs' names. */
    async end(names: string, outcome: Parameters<Sent['end']>[0]) {
      sent.findLast((batch) => batch.names === names)?.end(outcome)
      await vi.advanceTimersByTimeAsync(0)
    },
    /** Queues jobs by their names, and starts. */
    add(names: string) {
      for (const name of names.split(' ')) {
        const claimed = jobs.get(name) ?? jobOf(name)
        jobs.set(name, claimed)
        worker.add(claimed)
      }
      worker.start()
    },
    /** Nix answers which queued jobs have to do with those in flight. */
    async answerRelated(names: string) {
      relations.clear()
      for (const name of names.split(' ')) relations.add(name)
      answer()
      await vi.advanceTimersByTimeAsync(0)
    },
    wait: (ms: number) => vi.advanceTimersByTimeAsync(ms),
  }
}
