interface Ahead<T, R> {
  item: T
  prepared: Promise<R>
}

/**
 * Prepares items one after the other, each while the one before it is in use.
 * @param prepare Its signal is aborted where whoever asked has left, too.
 * @param discard Called with what was prepared for nothing.
 * @throws What `prepare` threw, when it is that item's turn.
 */
export async function* oneAhead<T extends object, R extends object>(
  items: Iterable<T>,
  prepare: (item: T, signal: AbortSignal) => Promise<R>,
  discard: (prepared: R) => void,
  signal: AbortSignal,
): AsyncGenerator<[T, R], void> {
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  const begin = (item: T): Ahead<T, R> => {
    const prepared = prepare(item, either)
    // Its failure is heard when it is its turn.
    prepared.catch(() => undefined)
    return { item, prepared }
  }
  let ahead: Ahead<T, R> | undefined
  try {
    for (const item of [...items, undefined]) {
      const current = ahead
      const result = await current?.prepared
      ahead = item && begin(item)
      if (current && result !== undefined) yield [current.item, result]
    }
  } finally {
    ended.abort()
    await ahead?.prepared.then(discard, () => undefined)
  }
}
