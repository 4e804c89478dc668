import type { Flow } from './flow.ts'
import type { RateLimit } from './rate-limit.ts'

/** A file to upload: one on the disk, which is streamed, or a short text. */
export type Body = { file: string; size: number } | { text: string }

/** A binary cache over a network, as the files it consists of. Names are relative: `nar/….nar.zst`, `….narinfo`. */
export interface Transport {
  /**
   * Fetches a small file.
   * @returns undefined where there is none.
   * @throws {SendFailure} where the server can't be asked, or refuses.
   */
  get(name: string, signal: AbortSignal): Promise<string | undefined>
  /**
   * Uploads a file, whole or not at all, over the one that is there.
   * @param onBytes Called with the number of bytes that went out since the last call; negative where what went out
   * was in vain and is sent again.
   * @throws {SendFailure} where it is not there afterwards.
   */
  put(name: string, body: Body, signal: AbortSignal, onBytes: (count: number) => void): Promise<void>
  /** Ends idle connections. */
  close(): void
}

/** What a transport is made from. */
export interface TransportOptions {
  /** The store URL of the destination, as configured. */
  to: string
  /** Credentials for http; without it, Nix's own netrc file. */
  netrcFile?: string | undefined
  /** A request is ended when nothing has moved for so long. */
  progressTimeoutMs: number
  /** Each of them holds for what goes out. The destination's own comes first, what it shares with others behind. */
  limits?: readonly RateLimit[]
  /** Told, once, of what is no failure but should be mended. */
  onWarning?: (message: string) => void
  /** How many requests are in flight; one of its own by default. */
  flow?: Flow
}
