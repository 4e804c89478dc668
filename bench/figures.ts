// What the benchmarks have in common.

/** The middle one; of an even number of values the upper of the two in the middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** To two decimals. */
export function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** Seconds that something took. */
export async function seconds(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await act()
  return (performance.now() - start) / 1000
}
