/**
 * Looks up a name that somebody else chose. A plain object also inherits values, such as `constructor` and `toString`, which
 * nobody put there.
 * @returns undefined if the record has no such key of its own.
 */
export function own<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined
}
