import { isNetworkCache } from '../config/store-url.ts'
import { isObject } from '../util/is-object.ts'
import { type RunOptions, type RunResult, run } from '../util/run-program.ts'
import { UserError } from '../util/user-error.ts'
import { buildLog } from './build-log.ts'
import { makeCacheHome, removeCacheHome } from './cache-home.ts'
import { failureOfCopy, refuseOddFiles } from './culprit.ts'
import { NixFailure, unlessFailed } from './failure.ts'
import { isProgress } from './messages.ts'
import { ignoredParameters, refuseBadKeys, uploadUrl } from './upload-url.ts'

/** Another store, and how to work with it. */
export interface RemoteStore {
  /** Its URL, as configured. */
  to: string
  /** The key that paths are signed with. */
  secretKeyFile?: string | undefined
  /** Credentials for http. */
  netrcFile?: string | undefined
  /** A program is ended when it has shown no sign of life for this long. */
  silenceMs: number
}

/** Works in every version from 2.4 on, whether nix.conf enables the command or not. */
export const NIX_ENABLED = ['--extra-experimental-features', 'nix-command']

/** Nix reports its progress and its errors in lines of JSON. */
export const NIX_COMMAND = [...NIX_ENABLED, '--log-format', 'internal-json']

/**
 * Nix reports only errors. With JSON (2.26.3, 2.34.8) it prints a line for each of some twenty writes
 * that make a file in an archive, at any verbosity: a quarter of the time of a copy of small paths. Without
 * /proc, these lines are the only sign of life.
 */
export const NIX_QUIETLY = process.platform === 'linux' ? [...NIX_ENABLED, '--quiet'] : NIX_COMMAND

/**
 * Options of everything that goes over a network. Substituting is off: a missing path is an error, not a
 * download. Nix's own retries are off: after a 503 its second PUT has no body and hangs (2.8.0) or fails with an
 * error that hides the first (2.26.3), and after a 429 it silently waits a minute (2.34.8).
 */
function remoteOptions({ netrcFile, silenceMs }: RemoteStore): string[] {
  const options = {
    substitute: 'false',
    'connect-timeout': '15',
    'download-attempts': '1',
    // It ends uploads too. Over http nothing else does, since Nix goes on printing lines without progress.
    'stalled-download-timeout': String(Math.max(1, Math.round(silenceMs / 1000))),
    // A cache may have lost what Nix remembers of it.
    'narinfo-cache-positive-ttl': '0',
    'narinfo-cache-negative-ttl': '0',
    ...(netrcFile === undefined ? {} : { 'netrc-file': netrcFile }),
  }
  return Object.entries(options).flatMap(([name, value]) => ['--option', name, value])
}

/**
 * Uploads store paths: signed and, unless the URL says otherwise, compressed with zstd (Nix's default, xz, takes
 * about a hundred times as long).
 * @param closure Whether their dependencies are uploaded too.
 * @param onLine Called with each line that Nix writes to stderr; without it, Nix isn't asked how far it is.
 * @throws {NixFailure} if not all of them are there afterwards.
 * @throws {UserError} if a signing key can't be read or is invalid.
 */
export async function copy(
  store: RemoteStore,
  paths: readonly string[],
  closure: boolean,
  signal: AbortSignal,
  onLine?: (line: string) => void,
): Promise<void> {
  refuseOddFiles(paths)
  refuseBadKeys(store)
  const recursive = closure ? [] : ['--no-recursive']
  const command = onLine ? NIX_COMMAND : NIX_QUIETLY
  const args = [...command, 'copy', '--to', uploadUrl(store), ...recursive, ...paths]
  const result = await runRemote('nix', store, args, signal, onLine)
  if (result.exitCode !== 0) throw await failureOfCopy(result, store.to, paths, closure, signal)
}

/**
 * Uploads derivations themselves, with their inputs. Without the flag, Nix 2.8 uploads the outputs of a derivation
 * instead.
 */
export async function copyDerivations(
  store: RemoteStore,
  drvPaths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const args = [...NIX_QUIETLY, 'copy', '--derivation', '--to', uploadUrl(store), ...drvPaths]
  const result = await runRemote('nix', store, args, signal)
  if (result.exitCode !== 0) throw await failureOfCopy(result, store.to, drvPaths, true, signal)
}

/**
 * Signs store paths in the local store, for stores that get paths with their existing signatures.
 * @param closure Whether their dependencies are signed too.
 */
export async function signLocally(
  secretKeyFile: string,
  paths: readonly string[],
  closure: boolean,
  silenceMs: number,
  signal: AbortSignal,
): Promise<void> {
  refuseBadKeys({ to: '', secretKeyFile })
  const recursive = closure ? ['--recursive'] : []
  const args = [...NIX_COMMAND, 'store', 'sign', '--key-file', secretKeyFile, ...recursive, ...paths]
  unlessFailed(await run('nix', args, { silenceMs, signal, isNoise: isProgress }))
}

/**
 * Nix only warns of a parameter of a binary cache's URL that it doesn't know, and goes on without it, unsigned for instance.
 * @throws {UserError} if this Nix would ignore one.
 */
export async function refuseIgnoredParameters(
  store: RemoteStore,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const args = ['--store', uploadUrl(store), '--check-validity', path]
  const { lines } = await runRemote('nix-store', store, args, signal)
  const [ignored] = ignoredParameters(store, lines)
  if (ignored === undefined) return
  throw new UserError(
    `the Nix here doesn't know the parameter "${ignored}" in the URL of this destination, and would upload without it: use a newer ` +
      'Nix, or leave it out',
  )
}

/** Uploads the log of a build. A missing log is no failure: substituted paths have none. */
export async function copyLog(store: RemoteStore, drvPath: string, signal: AbortSignal): Promise<void> {
  if ((await buildLog(drvPath, signal)) === undefined) return
  const args = [...NIX_COMMAND, 'store', 'copy-log', '--to', store.to, drvPath]
  unlessFailed(await runRemote('nix', store, args, signal))
}

/**
 * Tells which store paths another store lacks. `nix-store`, since `nix path-info` up to 2.8 fails for one of them.
 * @throws {NixFailure} if it can't be asked.
 */
export async function missingAt(
  store: RemoteStore,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Set<string>> {
  const args = ['--store', store.to, '--check-validity', '--print-invalid', ...paths]
  const result = await runRemote('nix-store', store, args, signal)
  if (result.exitCode === undefined && !result.ended) return await missingByInfo(store, paths, signal)
  return new Set(
    unlessFailed(result)
      .stdout.split('\n')
      .filter((line) => line !== ''),
  )
}

/** The same if `nix-store` crashes, as Debian's 2.34.8 does at any store that is reached over http. */
async function missingByInfo(
  store: RemoteStore,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Set<string>> {
  const args = [...NIX_ENABLED, 'path-info', '--json', '--store', store.to, ...paths]
  const { stdout } = unlessFailed(await runRemote('nix', store, args, signal))
  const known: unknown = JSON.parse(stdout)
  if (!isObject(known) || Array.isArray(known)) {
    throw new NixFailure(['`nix path-info --json` printed something unknown'], undefined)
  }
  return new Set(paths.filter((path) => !isObject(known[path])))
}

/**
 * Runs Nix on another store.
 * @param onLine Called with each line it writes to stderr.
 */
export async function runRemote(
  program: 'nix' | 'nix-store',
  store: RemoteStore,
  args: readonly string[],
  signal: AbortSignal,
  onLine?: (line: string) => void,
): Promise<RunResult> {
  // Nix remembers nothing about other kinds of stores (2.8.0, 2.26.3 and 2.34.8 write nothing there).
  const cache = isNetworkCache(store.to) ? makeCacheHome() : undefined
  const options: RunOptions = {
    ...(cache === undefined ? {} : { env: { XDG_CACHE_HOME: cache } }),
    silenceMs: store.silenceMs,
    signal,
    isNoise: isProgress,
    ...(onLine ? { onLine, isTalkative: true } : {}),
  }
  try {
    return await run(program, [...args, ...remoteOptions(store)], options)
  } finally {
    if (cache !== undefined) await removeCacheHome(cache)
  }
}
