/** The content of an upload: bytes in memory, or a stream that can be restarted for each attempt. */
export type Body = Uint8Array | StreamBody

/** Bytes that are made as they are sent. */
export interface StreamBody {
  /**
   * Starts it from its beginning.
   * @returns Its bytes; the memory of a chunk may be used again once the next one is asked for. If the file must not be completed, it throws instead of its last bytes.
   */
  open(signal: AbortSignal): AsyncIterable<Uint8Array>
  /** How many bytes, where that is known beforehand. */
  size?: number | undefined
  /** How many bytes at most, about. */
  atMost: number
}

/** A file to be uploaded. */
export interface Upload {
  /** Relative to the place: `nar/….nar.zst`, `….narinfo`. */
  name: string
  contentType: string
  body: Body
}

/** Called with the number of bytes that went out since the last call; negative where they were in vain. */
export type OnBytes = (count: number) => void

/** A place that holds files by name: a directory, a web server, a bucket. It knows nothing about their content. */
export interface Transport {
  /**
   * Fetches a small file.
   * @returns undefined if there is none.
   * @throws {UploadFailure} if the place can't be asked, or refuses.
   */
  get(name: string, signal: AbortSignal): Promise<string | undefined>
  /**
   * Looks whether a file is there, and how large it is in bytes.
   * @param name As in an `Upload`; for http also what a narinfo may say instead, with a query or with a URL of its own.
   * @returns undefined if there is none.
   * @throws {UploadFailure} as `get` does.
   */
  head(name: string, signal: AbortSignal): Promise<{ size: number | undefined } | undefined>
  /**
   * Uploads a file, whole or not at all, and replaces an existing one. When it returns, the file survives a power cut
   * there, as far as we can ensure that. The memory of a body of more than `AT_ONCE_BYTES` may be used for something else then.
   * @throws {UploadFailure} if it is not there afterwards; whatever a stream throws.
   */
  put(upload: Upload, signal: AbortSignal, onBytes: OnBytes): Promise<void>
  /** True once it has shown that we may write there but not read, so that `get` finds nothing. */
  readonly isWriteOnly?: boolean
  /** Lets go of what it keeps open. */
  close(): void
}
