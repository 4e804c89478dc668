import { findProgram } from '../util/find-program.ts'
import { own } from '../util/own.ts'
import { UserError } from '../util/user-error.ts'
import { flagOf } from './store-flags.ts'

/** How archives are compressed. */
export interface Compression {
  /** Its name in a narinfo, and in `compression` in the URL of a store. */
  name: string
  /** The ending of the archive's name, as with Nix. */
  extension: string
  /** What compresses: nothing, Node's zlib, or a program that compresses its standard input. */
  by: 'nothing' | 'zstd' | 'gzip' | 'brotli' | { program: string; args: readonly string[] }
  /** undefined: the default of the method. */
  level: number | undefined
}

export const UNCOMPRESSED: Compression = { name: 'none', extension: '', by: 'nothing', level: undefined }

interface Method {
  extension: string
  by: 'nothing' | 'zstd' | 'gzip' | 'brotli' | { program: string; parallel?: string }
  levels: readonly [number, number]
}

/** zstd's own default. Lix uses 12, which is about fifty times slower on small paths. */
const ZSTD_LEVEL = 3

/** nix: src/libstore/binary-cache-store.cc (extensions), src/libutil/compression.cc (names). */
const METHODS: Readonly<Record<string, Method>> = {
  none: { extension: '', by: 'nothing', levels: [0, 0] },
  zstd: { extension: '.zst', by: 'zstd', levels: [1, 22] },
  gzip: { extension: '', by: 'gzip', levels: [0, 9] },
  br: { extension: '.br', by: 'brotli', levels: [0, 11] },
  xz: { extension: '.xz', by: { program: 'xz', parallel: '-T0' }, levels: [0, 9] },
  bzip2: { extension: '.bz2', by: { program: 'bzip2' }, levels: [1, 9] },
  lz4: { extension: '.lz4', by: { program: 'lz4' }, levels: [1, 12] },
  lzip: { extension: '.lzip', by: { program: 'lzip' }, levels: [0, 9] },
  lzma: { extension: '', by: { program: 'lzma' }, levels: [0, 9] },
  lzop: { extension: '', by: { program: 'lzop' }, levels: [1, 9] },
}

/**
 * Reads the compression of archives from the parameters of a store URL (`compression`, `compression-level`,
 * `parallel-compression`).
 * @throws {UserError} if it is not supported.
 */
export function compressionOf(parameters: URLSearchParams): Compression {
  const name = parameters.get('compression') ?? 'zstd'
  const method = own(METHODS, name)
  if (!method) {
    throw new UserError(
      `compression=${name} in the URL of a destination is unknown; use one of ${Object.keys(METHODS).join(', ')}`,
    )
  }
  const level = levelOf(parameters, name, method)
  const { extension, by } = method
  if (typeof by === 'string') return { name, extension, by, level }
  const { program, parallel } = by
  const isParallel = flagOf(parameters, 'parallel-compression') === true && parallel !== undefined
  const args = ['-c', ...(level === undefined ? [] : [`-${level}`]), ...(isParallel ? [parallel] : [])]
  return { name, extension, by: { program, args }, level }
}

function levelOf(
  parameters: URLSearchParams,
  name: string,
  { levels: [least, most] }: Method,
): number | undefined {
  const text = parameters.get('compression-level') ?? '-1'
  const level = Number(text)
  // -1 is the default, as with Nix.
  if (level === -1 || name === 'none') return name === 'zstd' ? ZSTD_LEVEL : undefined
  if (Number.isInteger(level) && level >= least && level <= most) return level
  throw new UserError(
    `compression-level=${text} in the URL of a destination is no level of ${name}; use a number from ${least} to ${most}`,
  )
}

/**
 * The program that a compression needs, if it is missing.
 * @returns undefined if nothing is missing.
 */
export function missingProgram({ by }: Compression): string | undefined {
  return typeof by === 'string' || findProgram(by.program) ? undefined : by.program
}
