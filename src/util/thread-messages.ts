/** A message to a thread. */
export type ToThread<Call> =
  | { kind: 'call'; id: number; call: Call }
  /** A chunk of its stream was read; its memory goes back. */
  | { kind: 'taken'; id: number; bytes: number; buffer: ArrayBuffer }
  /** The answer is not wanted any more. */
  | { kind: 'cancel'; id: number }

/** A message from a thread. */
export type FromThread<Reply> =
  | { kind: 'reply'; id: number; reply: Reply }
  | { kind: 'error'; id: number; error: ThreadError }
  | { kind: 'chunk'; id: number; bytes: Uint8Array<ArrayBuffer> }

/** An error in a form that can be sent to another thread. */
export interface ThreadError {
  name: string
  message: string
  code?: string
  path?: string
  stack?: string
}

/** Turns an error into that form. */
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

/** Turns it back into an error. */
export function unpackError({ message, ...rest }: ThreadError): Error {
  return Object.assign(new Error(message), rest)
}
