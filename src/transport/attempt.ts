import type { OnBytes } from './transport.ts'

/** What an attempt to do something at a place is made with. */
export interface AttemptContext {
  signal: AbortSignal
  /** To be called before bytes go out; where it returns a promise, they wait for that. */
  beforeBytes: (count: number) => Promise<void> | undefined
  /** How many bytes may go out at a time at most. */
  pieceBytes: () => number
  /** Waits for something of our own, such as the disk here: the place is not to blame for the time that it takes. */
  ownWait: <R>(waiting: Promise<R>) => Promise<R>
}

export type Attempt<R> = (context: AttemptContext) => Promise<R>

/** Makes attempts. */
export type Attempts = <R>(attempt: Attempt<R>, context: AttemptContext) => Promise<R>

/** Something that is done around each attempt: count it, limit it, make it again. */
export type Layer = (inner: Attempts) => Attempts

/**
 * Puts layers around attempts, so that those who talk to a place need not know of them.
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
