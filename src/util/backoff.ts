/** How long to wait between attempts. */
export interface Backoff {
  minMs: number
  maxMs: number
}

/**
 * The wait after the given number of failures in a row: doubling, capped, and a quarter more or less by chance, so
 * that many builders don't come back to a recovered server all at once.
 * @param random From 0 up to 1.
 */
export function waitAfter(failures: number, { minMs, maxMs }: Backoff, random = Math.random()): number {
  const doubled = minMs * 2 ** Math.min(failures - 1, 30)
  return Math.min(doubled, maxMs) * (0.75 + random / 2)
}
