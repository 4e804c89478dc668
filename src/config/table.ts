import { isObject } from '../util/is-object.ts'

/** Where a value stands in a file: keys, and numbers of sections. */
export type Path = readonly (string | number)[]

/** A value that was expected to be something, said in words. */
export interface Expectation<T> {
  /** What to say of a value that is something else, such as `expected true or false`. */
  problemOf: (value: unknown) => string
  /** The value as it is used, or undefined where it won't do. */
  read: (value: unknown) => T | undefined
}

/** Something that is wrong with a file. */
export type Problem =
  | { path: Path; message: string; value: unknown }
  /** Keys that nobody knows. */
  | { path: Path; unknown: readonly string[] }

/**
 * A table of a configuration file, read key by key: what is never asked for is an unknown key. A problem is noted and reading goes
 * on, so that all of them can be told at once; what was read counts only where none was noted.
 */
export class Table {
  readonly #values: Readonly<Record<string, unknown>>
  readonly #path: Path
  readonly #problems: Problem[]
  readonly #known: string[] = []

  /**
   * @param value What the file has there.
   * @param problems Where problems are noted.
   */
  constructor(value: unknown, path: Path, problems: Problem[]) {
    this.#values = isObject(value) ? value : {}
    this.#path = path
    this.#problems = problems
    if (!isObject(value)) problems.push({ path, message: 'expected a table of keys and values', value })
  }

  /** The keys that were asked for. */
  get known(): readonly string[] {
    return this.#known
  }

  /** A value that may be left out. */
  optional<T>(key: string, { read, problemOf }: Expectation<T>): T | undefined {
    this.#known.push(key)
    const value = Object.hasOwn(this.#values, key) ? this.#values[key] : undefined
    if (value === undefined) return undefined
    const result = read(value)
    if (result === undefined) {
      this.#problems.push({ path: [...this.#path, key], message: problemOf(value), value })
    }
    return result
  }

  /** A value that has a default. */
  withDefault<T>(key: string, expectation: Expectation<T>, fallback: T): T {
    return this.optional(key, expectation) ?? fallback
  }

  /** A list of tables, `[[key]]`, each read by `read`; undefined where there is none. */
  sections<T>(key: string, expectation: Expectation<unknown[]>, read: (table: Table) => T): T[] | undefined {
    return this.optional(key, expectation)?.map((value, at) =>
      readTable(value, [...this.#path, key, at], this.#problems, read),
    )
  }

  /** Notes the keys that nobody asked for. */
  refuseOthers(): void {
    const unknown = Object.keys(this.#values).filter((key) => !this.#known.includes(key))
    if (unknown.length > 0) this.#problems.push({ path: this.#path, unknown })
  }
}

/** Reads a table, and notes what it has too much. */
export function readTable<T>(value: unknown, path: Path, problems: Problem[], read: (table: Table) => T): T {
  const table = new Table(value, path, problems)
  const result = read(table)
  table.refuseOthers()
  return result
}
