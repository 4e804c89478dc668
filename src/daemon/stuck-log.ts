import type { Logger } from 'pino'
import { wordsOf } from '../util/user-error.ts'

/** At most this many names are remembered; more are not reported. */
const REMEMBERED = 1000

/** Logs each file that can't be moved or removed, once and not at every look. */
export class StuckLog {
  readonly #log: Logger
  readonly #said = new Set<string>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** @param message What follows from it. */
  job(name: string, error: unknown, message: string): void {
    if (this.#isNews(name)) this.#log.error({ job: name, error: wordsOf(error) }, message)
  }

  /** @param path Of a file that is no job. */
  file(path: string, error: unknown, message: string): void {
    if (this.#isNews(path)) this.#log.warn({ file: path, error: wordsOf(error) }, message)
  }

  #isNews(name: string): boolean {
    if (this.#said.has(name) || this.#said.size >= REMEMBERED) return false
    this.#said.add(name)
    return true
  }
}
