import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isBinaryCache, withParameters } from '../config/store-url.ts'
import { messagesOf } from './messages.ts'
import { type RunOptions, type RunResult, run } from './run.ts'

/** What goes in one `nix copy`. */
export interface CopyRequest {
  paths: readonly string[]
  /** The store URL, as configured. */
  to: string
  secretKeyFile?: string | undefined
  /** The copy is ended when Nix has shown no sign of life for so long. */
  silenceMs: number
  signal?: AbortSignal
}

/** How a run of Nix failed, in its own words, one message a line. */
export class NixFailure extends Error {
  override name = 'NixFailure'
  readonly messages: readonly string[]
  /** Set where it was ended from here. */
  readonly ended: RunResult['ended']

  constructor(messages: readonly string[], ended: RunResult['ended']) {
    super(messages.join('; '))
    this.messages = messages
    this.ended = ended
  }
}

/** Queries of the local store answer in milliseconds; one that hangs (a stuck nix-daemon) must not hang us. */
const QUERY_TIMEOUT_MS = 120_000

/**
 * Options of every copy. Substituting is off: a path that isn't here is an error, not a download. Nix's own retries
 * are few, as ours come on top of them.
 */
const COPY_OPTIONS = [
  ['substitute', 'false'],
  ['connect-timeout', '15'],
  ['download-attempts', '2'],
  ['stalled-download-timeout', '120'],
  // What we knew of a cache is no proof that it still has it.
  ['narinfo-cache-positive-ttl', '0'],
  ['narinfo-cache-negative-ttl', '0'],
].flatMap(([name = '', value = '']) => ['--option', name, value])

/** Nix's store directory: asked of Nix once, as it is Nix's to say. */
export async function storeDirectory(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (env.NIX_STORE_DIR) return env.NIX_STORE_DIR
  try {
    const { exitCode, stdout } = await run('nix-instantiate', ['--eval', '-E', 'builtins.storeDir'])
    const [, directory] = /^"(\/.*)"\s*$/.exec(stdout) ?? []
    if (exitCode === 0 && directory !== undefined) return directory
  } catch {
    // Without Nix nothing can be uploaded, but what waits can still be looked at.
  }
  return '/nix/store'
}

/**
 * Tells which store paths are not valid: not in the store, whatever may lie on the disk.
 * @throws {NixFailure} where Nix couldn't tell.
 */
export async function invalidPaths(paths: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
  const stdout = await query(['--check-validity', '--print-invalid', ...paths], signal)
  return new Set(stdout.split('\n').filter((line) => line !== ''))
}

/**
 * Looks up the outputs of a derivation.
 * @throws {NixFailure} where the derivation isn't in the store.
 */
export async function outputsOf(drvPath: string, signal?: AbortSignal): Promise<string[]> {
  const stdout = await query(['--query', '--outputs', drvPath], signal)
  return stdout.split('\n').filter((line) => line !== '')
}

/** `nix-store`, not `nix path-info`: it says the same in every version of Nix. */
async function query(args: readonly string[], signal?: AbortSignal): Promise<string> {
  const options: RunOptions = { silenceMs: QUERY_TIMEOUT_MS, ...(signal ? { signal } : {}) }
  const { exitCode, stdout, lines, ended } = await run('nix-store', args, options)
  if (exitCode === 0) return stdout
  throw new NixFailure(messagesOf(lines), ended)
}

/**
 * Uploads store paths with their closures: signed and, where the URL doesn't say otherwise, compressed with zstd
 * (Nix's default, xz, takes about a hundred times as long).
 * @throws {NixFailure} where not all of them are there afterwards.
 */
export async function copy(request: CopyRequest): Promise<void> {
  const cache = mkdtempSync(join(tmpdir(), 'nix-upload-'))
  try {
    const { exitCode, lines, ended } = await run('nix', copyArguments(request), {
      // Nix remembers there what a cache has, even that it was set up (nix-cache-info): a memory that outlives the
      // copy makes it skip the upload after a cache was wiped.
      env: { XDG_CACHE_HOME: cache },
      silenceMs: request.silenceMs,
      ...(request.signal ? { signal: request.signal } : {}),
    })
    if (exitCode !== 0) throw new NixFailure(messagesOf(lines), ended)
  } finally {
    rmSync(cache, { recursive: true, force: true })
  }
}

function copyArguments({ paths, to, secretKeyFile }: CopyRequest): string[] {
  const parameters: Record<string, string> = {}
  if (isBinaryCache(to)) {
    parameters.compression = 'zstd'
    if (secretKeyFile !== undefined) parameters['secret-key'] = secretKeyFile
  }
  return [
    '--extra-experimental-features',
    'nix-command',
    'copy',
    '--log-format',
    'internal-json',
    ...COPY_OPTIONS,
    '--to',
    withParameters(to, parameters),
    ...paths,
  ]
}
