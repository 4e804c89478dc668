import { findProgram } from '../util/find-program.ts'
import { UserError } from '../util/user-error.ts'

/** How archives are compressed. */
export interface Compression {
  /** As a narinfo has it, and `compression` in the URL of a store. */
  name: string
  /** Of the archive's name, as Nix has it. */
  extension: string
  /** What makes it: Node's zlib, or a program that compresses its standard input. */
  by: 'nothing' | 'zstd' | 'gzip' | 'brotli' | { program: string; args: readonly string[] }
  /** What was asked for; undefined: the default of the method. */
  level: number | undefined
}

export const UNCOMPRESSED: Compression = { name: 'none', extension: '', by: 'nothing', level: undefined }

interface Method {
  extension: string
  by: 'nothing' | 'zstd' | 'gzip' | 'brotli' | { program: string; parallel?: string }
  levels: readonly [number, number]
}

/** zstd's own default. Lix takes 12 instead, which is some fifty times slower on small paths. */
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
 * Reads how archives are to be compressed from the parameters of a store URL (`compression`, `compression-level`,
 * `parallel-compression`).
 * @throws {UserError} where that can't be done here.
 */
export function compressionOf(parameters: URLSearchParams): Compression {
  const name = parameters.get('compression') || 'zstd'
  const method = METHODS[name]
  if (!method) {
    throw new UserError(
      `compression=${name} in the URL of a destination is not known here: it is one of ${Object.keys(METHODS).join(', ')}`,
    )
  }
  const level = levelOf(parameters, name, method)
  const { extension, by } = method
  if (typeof by === 'string') return { name, extension, by, level }
  const { program, parallel } = by
  const isParallel = parameters.get('parallel-compression') === 'true' && parallel !== undefined
  const args = ['-c', ...(level === undefined ? [] : [`-${level}`]), ...(isParallel ? [parallel] : [])]
  return { name, extension, by: { program, args }, level }
}

function levelOf(
  parameters: URLSearchParams,
  name: string,
  { levels: [least, most] }: Method,
): number | undefined {
  const text = parameters.get('compression-level') || '-1'
  const level = Number(text)
  // What Nix takes for the default.
  if (level === -1 || name === 'none') return name === 'zstd' ? ZSTD_LEVEL : undefined
  if (Number.isInteger(level) && level >= least && level <= most) return level
  throw new UserError(
    `compression-level=${text} in the URL of a destination is no level of ${name}: it is from ${least} to ${most}`,
  )
}

/**
 * The program that a compression takes and that is not there.
 * @returns undefined where nothing is missing.
 */
export function missingProgram({ by }: Compression): string | undefined {
  return typeof by === 'string' || findProgram(by.program) ? undefined : by.program
}
