import { unlessFailed } from './failure.ts'
import { run } from './run.ts'

/** Queries of the local store answer in milliseconds; one that hangs (a stuck nix-daemon) must not hang us. */
const QUERY_TIMEOUT_MS = 120_000

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
  return lines(await query(['--check-validity', '--print-invalid', ...paths], signal))
}

/**
 * Looks up the outputs of a derivation.
 * @throws {NixFailure} where the derivation isn't in the store.
 */
export async function outputsOf(drvPath: string, signal?: AbortSignal): Promise<string[]> {
  return [...lines(await query(['--query', '--outputs', drvPath], signal))]
}

/**
 * The sizes of store paths as NARs, in bytes, in the order of `paths`.
 * @param paths Valid store paths.
 */
export async function pathSizes(paths: readonly string[], signal?: AbortSignal): Promise<number[]> {
  return (await query(['--query', '--size', ...paths], signal)).trim().split('\n').map(Number)
}

/** Every valid store path that depends on one of `paths`, they themselves included. */
export async function dependents(paths: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
  return lines(await query(['--query', '--referrers-closure', ...paths], signal))
}

/** `nix-store`, not `nix path-info`: it says the same in every version of Nix. */
async function query(args: readonly string[], signal?: AbortSignal): Promise<string> {
  const result = await run('nix-store', args, { silenceMs: QUERY_TIMEOUT_MS, ...(signal ? { signal } : {}) })
  return unlessFailed(result).stdout
}

function lines(stdout: string): Set<string> {
  return new Set(stdout.split('\n').filter((line) => line !== ''))
}
