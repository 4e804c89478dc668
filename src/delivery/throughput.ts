import type { Rate } from '../spool/report.ts'

/** The rate is that of the last ten seconds or so. */
const WINDOW_MS = 10_000

interface Sample extends Rate {
  at: number
}

/** Computes rates from samples of growing counters. */
export class Throughput {
  readonly #samples: Sample[] = []

  /**
   * @param total What went out in all, in bytes and in jobs.
   * @param now Monotonic milliseconds.
   * @returns How much went out per second, over the samples of the last ten seconds; 0 at the first sample.
   */
  look(total: Rate, now = performance.now()): Rate {
    const recent = this.#samples.findIndex(({ at }) => now - at <= WINDOW_MS)
    this.#samples.splice(0, recent === -1 ? this.#samples.length : recent)
    const [first] = this.#samples
    this.#samples.push({ ...total, at: now })
    if (!first || now <= first.at) return { bytes: 0, jobs: 0 }
    const seconds = (now - first.at) / 1000
    const bytes = Math.max(0, total.bytes - first.bytes) / seconds
    const jobs = Math.max(0, total.jobs - first.jobs) / seconds
    return { bytes: Math.round(bytes), jobs: Math.round(jobs * 100) / 100 }
  }
}
