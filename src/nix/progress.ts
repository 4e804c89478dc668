import { isObject } from '../util/is-object.ts'

/** Nix's numbers for what it is doing, and for what it tells of that (nix: src/libutil/logging.hh). */
const COPY_PATH = 100
const PROGRESS = 105
const SET_EXPECTED = 106

/**
 * How far one run of `nix copy` is, from the lines of its `--log-format internal-json`. The bytes are those of NARs, before
 * compression. Nix 2.8 tells which paths it copies, and no sizes: then both figures stay 0.
 */
export class CopyProgress {
  sentBytes = 0
  /** What it has to copy in all. */
  expectedBytes = 0
  readonly #paths = new Map<unknown, number>()

  /**
   * Takes a line of its stderr into account.
   * @returns False for a line that says nothing of progress.
   */
  read(line: string): boolean {
    // Thousands of lines a second may come; most are told apart without parsing.
    if (!line.startsWith('@nix ') || line.includes('"action":"msg"')) return false
    const event = parse(line.slice(5))
    if (!event) return false
    const { action, id, type, fields } = event
    if (action === 'start' && type === COPY_PATH) this.#paths.set(id, 0)
    if (action === 'stop') this.#paths.delete(id)
    if (action !== 'result' || !Array.isArray(fields)) return false
    const [first, second]: unknown[] = fields
    if (typeof first !== 'number' || typeof second !== 'number') return false
    if (type === SET_EXPECTED && first === COPY_PATH) this.expectedBytes = second
    else if (type === PROGRESS && this.#paths.has(id)) {
      this.sentBytes += first - (this.#paths.get(id) ?? 0)
      this.#paths.set(id, first)
    } else return false
    return true
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
