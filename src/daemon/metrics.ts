import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { type Observer, RESULTS, type Result } from '../delivery/observer.ts'
import { STATES } from '../spool/layout.ts'
import type { Shape } from '../spool/waiting.ts'
import type { Standing } from './notify.ts'

/** From some small paths on the same machine to a whole system over a slow line. */
const DURATION_BUCKETS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000]

/** The values of the gauges, all from the same moment. */
export interface Reading {
  mode: 'watch' | 'drain'
  isRunning: boolean
  standing: Standing
  /** The destinations that are paused individually. */
  paused: ReadonlySet<string>
  /** How many bytes were sent to each destination since the start. */
  sentBytes: Readonly<Record<string, number>>
  shape: Shape
}

/** The metrics of a daemon, as docs/MONITORING.md describes them. */
export class Metrics implements Observer {
  readonly #registry = new Registry()
  readonly #startedAt = Date.now()
  readonly #version: string
  readonly #sent = new Map<string, number>()
  readonly #deliveries = this.#counter('deliveries_total', 'Results of jobs in batches, by destination', [
    'destination',
    'result',
  ])
  readonly #sentBytes = this.#counter(
    'sent_bytes_total',
    'Bytes uploaded, if the kind of destination can count them',
    ['destination'],
  )
  readonly #settled = this.#counter('settled_jobs_total', 'Jobs that were moved to done/ or failed/', [
    'state',
  ])
  readonly #durations = new Histogram({
    name: 'nix_upload_batch_duration_seconds',
    help: 'Duration of batches, successful or not',
    labelNames: ['destination'],
    buckets: DURATION_BUCKETS,
    registers: [this.#registry],
  })
  readonly #build = this.#gauge('build_info', 'Always 1; the label has the version of nix-upload', [
    'version',
  ])
  readonly #running = this.#gauge('running', '1 while the daemon runs, 0 after it has ended', ['mode'])
  readonly #started = this.#gauge('start_time_seconds', 'Start time of the daemon')
  readonly #written = this.#gauge('written_timestamp_seconds', 'When these metrics were last updated')
  readonly #paused = this.#gauge('paused', '1 while the spool is paused, so that no job is claimed')
  readonly #jobs = this.#gauge('jobs', 'Jobs in the spool', ['state'])
  readonly #oldest = this.#gauge(
    'oldest_job_timestamp_seconds',
    'When the oldest job in this state was queued',
    ['state'],
  )
  readonly #waiting = this.#gauge('waiting_jobs', 'Jobs that wait for a destination', ['destination'])
  readonly #oldestWaiting = this.#gauge(
    'oldest_waiting_job_timestamp_seconds',
    'When the oldest job that waits for a destination was queued',
    ['destination'],
  )
  readonly #up = this.#gauge(
    'destination_up',
    '1 if the last upload succeeded, 0 if the destination is down',
    ['destination'],
  )
  readonly #pausedAt = this.#gauge('destination_paused', '1 while this destination is paused', [
    'destination',
  ])
  readonly #batches = this.#gauge('running_batches', 'Batches that are being uploaded', ['destination'])
  readonly #success = this.#gauge('last_success_timestamp_seconds', 'Time of the last successful upload', [
    'destination',
  ])

  constructor(version: string, destinations: readonly string[]) {
    this.#version = version
    // If a series began with its first event, Prometheus would see no increase.
    for (const destination of destinations) {
      for (const result of RESULTS) this.#deliveries.inc({ destination, result }, 0)
      this.#sentBytes.inc({ destination }, 0)
      this.#durations.zero({ destination })
    }
  }

  onResult(destination: string, result: Result): void {
    this.#deliveries.inc({ destination, result })
  }

  onBatch(destination: string, ms: number): void {
    this.#durations.observe({ destination }, ms / 1000)
  }

  /** @returns The metrics in Prometheus' text format. */
  async text(reading: Reading): Promise<string> {
    this.#take(reading)
    return await this.#registry.metrics()
  }

  #take({ mode, isRunning, standing, paused, sentBytes, shape }: Reading): void {
    this.#build.set({ version: this.#version }, 1)
    this.#running.set({ mode }, isRunning ? 1 : 0)
    this.#started.set(this.#startedAt / 1000)
    this.#written.set(Date.now() / 1000)
    this.#paused.set(standing.isPaused ? 1 : 0)
    this.#raise(this.#settled, 'state', { done: standing.done, failed: standing.failed })
    this.#raise(this.#sentBytes, 'destination', sentBytes)
    this.#oldest.reset()
    for (const state of STATES) {
      const { jobs, oldest } = shape.states[state]
      this.#jobs.set({ state }, jobs)
      if (oldest) this.#oldest.set({ state }, oldest.getTime() / 1000)
    }
    for (const gauge of [this.#up, this.#success, this.#oldestWaiting]) gauge.reset()
    for (const [destination, { state, lastSuccessAt, running }] of Object.entries(standing.destinations)) {
      if (state !== 'unknown') this.#up.set({ destination }, state === 'ok' ? 1 : 0)
      this.#pausedAt.set({ destination }, paused.has(destination) ? 1 : 0)
      this.#batches.set({ destination }, running?.length ?? 0)
      if (lastSuccessAt !== undefined) this.#success.set({ destination }, Date.parse(lastSuccessAt) / 1000)
    }
    for (const [destination, { jobs, oldest }] of shape.waiting) {
      this.#waiting.set({ destination }, jobs)
      if (oldest) this.#oldestWaiting.set({ destination }, oldest.getTime() / 1000)
    }
  }

  /** A counter never falls. The caller subtracts bytes of failed uploads; the metric doesn't. */
  #raise(counter: Counter, label: string, totals: Readonly<Record<string, number>>): void {
    for (const [value, total] of Object.entries(totals)) {
      const key = `${label} ${value}`
      const before = this.#sent.get(key) ?? 0
      counter.inc({ [label]: value }, Math.max(0, total - before))
      this.#sent.set(key, Math.max(total, before))
    }
  }

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name: `nix_upload_${name}`, help, labelNames, registers: [this.#registry] })
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name: `nix_upload_${name}`, help, labelNames, registers: [this.#registry] })
  }
}
