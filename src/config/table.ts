import { isObject } from '../util/is-object.ts'

/** The place of a value in a file: keys, and numbers of sections. */
export type Path = readonly (string | number)[]

/** A check of a value. */
export interface Expectation<T> {
  /** The message for another value, such as `expected true or false`. */
  problemOf: (value: unknown) => string
  /** The value as it is used, or undefined if it is none of the expected ones. */
  read: (value: unknown) => T | undefined
}

/** A problem in a file. */
export type Problem =
  | { path: Path; message: string; value: unknown }
  /** Unknown keys. */
  | { path: Path; unknown: readonly string[] }

/**
 * A table of a configuration file, read key by key. Keys that are never read are unknown. Problems are collected, so that all
 * can be reported at once; the values are valid only if there is none.
 */
export class Table {
  readonly #values: Readonly<Record<string, unknown>>
  readonly #path: Path
  readonly #problems: Problem[]
  readonly #known: string[] = []

  /**
   * @param value The value in the file.
   * @param problems Problems are added here.
   */
  constructor(value: unknown, path: Path, problems: Problem[]) {
    this.#values = isObject(value) ? value : {}
    this.#path = path
    this.#problems = problems
    if (!isObject(value)) problems.push({ path, message: 'expected a table of keys and values', value })
  }

  /** The keys that were read. */
  get known(): readonly string[] {
    return this.#known
  }

  /** An optional value. */
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

  /** A list of tables, `[[key]]`, each read by `read`; undefined if there is none. */
  sections<T>(key: string, expectation: Expectation<unknown[]>, read: (table: Table) => T): T[] | undefined {
    return this.optional(key, expectation)?.map((value, at) =>
      readTable(value, [...this.#path, key, at], this.#problems, read),
    )
  }

  /** Adds a problem for keys that were not read. */
  refuseOthers(): void {
    const unknown = Object.keys(this.#values).filter((key) => !this.#known.includes(key))
    if (unknown.length > 0) this.#problems.push({ path: this.#path, unknown })
  }
}

/** Reads a table, and reports unknown keys. */
export function readTable<T>(value: unknown, path: Path, problems: Problem[], read: (table: Table) => T): T {
  const table = new Table(value, path, problems)
  const result = read(table)
  table.refuseOthers()
  return result
}
