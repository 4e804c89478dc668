import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { withParameters } from '../config/store-url.ts'
import { type RunResult, run } from '../util/run-program.ts'
import { NIX_QUIETLY } from './copy.ts'
import { unlessFailed } from './failure.ts'

/** A directory on this machine that Nix takes for a binary cache. */
export interface LocalCache {
  directory: string
  /** Where Nix packs what it stages: on the same filesystem, since `/tmp` may be in memory. */
  temporary: string
  /** Nix is ended when it has shown no sign of life for so long. */
  silenceMs: number
}

/** How archives are made: what it takes for two destinations to be fed from one stage. */
export interface Packing {
  /** The key that narinfos are signed with. */
  secretKeyFile?: string | undefined
  /** Parameters of the store's URL that say how: `compression=zstd`, as they are written there. */
  query: string
}

/**
 * Packs paths of the local store into a cache on this machine: compressed, signed, with their narinfos.
 * @param paths All derivations, or none. What they refer to must be among them, or have a narinfo there.
 * @throws {NixFailure} where not all of them are there afterwards.
 */
export async function packInto(
  cache: LocalCache,
  { secretKeyFile, query }: Packing,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const key = secretKeyFile === undefined ? {} : { 'secret-key': secretKeyFile }
  const url = withParameters(`${urlOf(cache)}${query === '' ? '' : `?${query}`}`, {
    compression: 'zstd',
    ...key,
  })
  // Without it, Nix 2.8 takes a derivation for its outputs.
  const kind = paths[0]?.endsWith('.drv') ? ['--derivation'] : []
  unlessFailed(await runAt(cache, ['copy', ...kind, '--no-recursive', '--to', url, ...paths], signal))
}

/** Adds a signature to the narinfos of paths, which is all that there needs to be of them. */
export async function signIn(
  cache: LocalCache,
  secretKeyFile: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const args = ['store', 'sign', '--store', urlOf(cache), '--key-file', secretKeyFile, ...paths]
  unlessFailed(await runAt(cache, args, signal))
}

/**
 * Copies the log of a build.
 * @returns Whether there is one: whoever substituted a path has none.
 */
export async function logInto(cache: LocalCache, drvPath: string, signal: AbortSignal): Promise<boolean> {
  const result = await runAt(cache, ['store', 'copy-log', '--to', urlOf(cache), drvPath], signal)
  if (result.lines.some((line) => line.includes('is not available'))) return false
  unlessFailed(result)
  return true
}

/** What `%20` in a file:// URL means differs from one Nix to the next; it takes anything else as it is. */
function urlOf({ directory }: LocalCache): string {
  return `file://${directory}`
}

function runAt(cache: LocalCache, args: readonly string[], signal: AbortSignal): Promise<RunResult> {
  mkdirSync(cache.temporary, { recursive: true })
  const env = { TMPDIR: cache.temporary, XDG_CACHE_HOME: join(cache.temporary, 'cache') }
  const options = ['--option', 'substitute', 'false']
  const how = { env, silenceMs: cache.silenceMs, signal }
  return run('nix', [...NIX_QUIETLY, ...args, ...options], how)
}
