import type { Compression } from '../../config/compression.ts'
import type { Listing } from './nar-blocks.ts'

/** What a thread is asked to pack. */
export interface PackCall {
  /** What lies there is packed. */
  path: string
  /** The expected hash, as `narHashOf` has it. */
  narHash: string
  narSize: number
  compression: Compression
  wantsListing: boolean
  /** Whether the archive is returned whole, sent in chunks as it is made, or only made to learn its hash and size. */
  to: 'bytes' | 'chunks' | 'nowhere'
}

/** An archive that was packed, and found to be what was registered. */
export interface Packed {
  /** Where it was asked for. */
  bytes: Uint8Array<ArrayBuffer>
  /** Of the archive as it is stored, compressed: `sha256:` and base 32. */
  fileHash: string
  fileSize: number
  listing?: Listing | undefined
}

/** The error if the content of a path is not what was registered. */
export const NOT_AS_BUILT = 'NotAsBuilt'

/** What a failure of the compressor is called. */
export const COMPRESSOR_FAILED = 'CompressorFailed'
