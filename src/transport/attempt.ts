import type { OnBytes } from './transport.ts'

/** The context of an attempt at a place. */
export interface AttemptContext {
  signal: AbortSignal
  /** To be called before bytes go out; if it returns a promise, the bytes wait for it. */
  beforeBytes: (count: number) => Promise<void> | undefined
  /** How many bytes may go out at a time at most. */
  pieceBytes: () => number
  /** Waits for something local, such as the disk: this time doesn't count against the place. */
  ownWait: <R>(waiting: Promise<R>) => Promise<R>
}

export type Attempt<R> = (context: AttemptContext) => Promise<R>

/** Makes attempts. */
export type Attempts = <R>(attempt: Attempt<R>, context: AttemptContext) => Promise<R>

/** Something done around each attempt: counting, limiting, repeating. */
export type Layer = (inner: Attempts) => Attempts

/**
 * Puts layers around attempts, so that the code that talks to a place need not know about them.
 * @param layers The outermost first.
 */
export function layered(...layers: readonly Layer[]): Attempts {
  return layers.reduceRight<Attempts>(
    (inner, layer) => layer(inner),
    (attempt, context) => attempt(context),
  )
}

/** The context that the outermost layer gets. */
export function plainContext(signal: AbortSignal, onBytes: OnBytes): AttemptContext {
  return {
    signal,
    beforeBytes: (count) => {
      onBytes(count)
      return undefined
    },
    pieceBytes: () => Number.POSITIVE_INFINITY,
    ownWait: (waiting) => waiting,
  }
}
