import { isObject } from '../util/is-object.ts'

/** Nix's numbers for its activities and for their results (nix: src/libutil/logging.hh). */
const COPY_PATH = 100
const PROGRESS = 105
const SET_EXPECTED = 106

/**
 * The progress of one run of `nix copy`, from the lines of its `--log-format internal-json`. The bytes are those of NARs, before
 * compression. Nix 2.8 reports paths but no sizes: then both figures stay 0.
 */
export class CopyProgress {
  sentBytes = 0
  /** The total to copy. */
  expectedBytes = 0
  readonly #paths = new Map<unknown, number>()

  /**
   * Takes a line of its stderr into account.
   * @returns False for a line that isn't about progress.
   */
  read(line: string): boolean {
    // There may be thousands of lines a second; most are sorted out without parsing.
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
