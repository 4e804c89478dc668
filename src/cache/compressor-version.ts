import { spawnSync } from 'node:child_process'
import type { Compression } from '../config/compression.ts'

const versions = new Map<string, string>()

/** The release of a compressor: another release may make other bytes from the same input. */
export function versionOf({ by }: Compression): string {
  switch (by) {
    case 'nothing':
      return ''
    case 'zstd':
      return process.versions.zstd ?? ''
    case 'gzip':
      return process.versions.zlib ?? ''
    case 'brotli':
      return process.versions.brotli ?? ''
    default:
      return versionOfProgram(by.program)
  }
}

function versionOfProgram(program: string): string {
  const known = versions.get(program)
  if (known !== undefined) return known
  // bzip2 compresses its input beside telling its version, so there is none.
  const { stdout, stderr } = spawnSync(program, ['--version'], {
    input: '',
    timeout: 5_000,
    encoding: 'latin1',
  })
  const [version = ''] = /\d+(?:\.\d+)+/.exec(`${stdout} ${stderr}`) ?? []
  versions.set(program, version)
  return version
}
