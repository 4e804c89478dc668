/** How long to wait between attempts. */
export interface Backoff {
  minMs: number
  maxMs: number
}

/**
 * The wait after the given number of failures in a row: it doubles up to a limit, and varies by a quarter at random, so that
 * many builders don't come back to a recovered server at the same time.
 * @param random From 0 up to 1.
 */
export function waitAfter(failures: number, { minMs, maxMs }: Backoff, random = Math.random()): number {
  const doubled = minMs * 2 ** Math.min(failures - 1, 30)
  return Math.min(doubled, maxMs) * (0.75 + random / 2)
}
