/** What goes to a thread. */
export type ToThread<Call> =
  | { kind: 'call'; id: number; call: Call }
  /** A chunk of its stream was taken; its memory goes back. */
  | { kind: 'taken'; id: number; bytes: number; buffer: ArrayBuffer }
  /** Nobody wants to know any more. */
  | { kind: 'cancel'; id: number }

/** What comes from a thread. */
export type FromThread<Reply> =
  | { kind: 'reply'; id: number; reply: Reply }
  | { kind: 'error'; id: number; error: ThreadError }
  | { kind: 'chunk'; id: number; bytes: Uint8Array<ArrayBuffer> }

/** An error as it goes from one thread to another. */
export interface ThreadError {
  name: string
  message: string
  code?: string
  path?: string
  stack?: string
}

/** Takes an error to pieces, for another thread. */
export function packError(error: unknown): ThreadError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) }
  const { name, message, stack } = error
  return {
    name,
    message,
    ...(stack === undefined ? {} : { stack }),
    ...('code' in error && typeof error.code === 'string' ? { code: error.code } : {}),
    ...('path' in error && typeof error.path === 'string' ? { path: error.path } : {}),
  }
}

/** Puts an error of another thread together again. */
export function unpackError({ message, ...rest }: ThreadError): Error {
  return Object.assign(new Error(message), rest)
}
