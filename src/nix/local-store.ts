import { resolve } from 'node:path'
import { type RunOptions, run } from '../util/run-program.ts'
import { gone, NixFailure, unlessEnded, unlessFailed } from './failure.ts'

/** Queries of the local store answer in milliseconds; one that hangs (a stuck nix-daemon) must not hang us. */
export const QUERY_TIMEOUT_MS = 120_000

/** Nix's store directory. Only Nix knows it, and is asked once. */
export async function storeDirectory(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  // As Nix does: a slash at its end is no part of it.
  if (env.NIX_STORE_DIR) return resolve(env.NIX_STORE_DIR)
  try {
    const { exitCode, stdout } = await run('nix-instantiate', ['--eval', '-E', 'builtins.storeDir'])
    const [, directory] = /^"(\/.*)"\s*$/.exec(stdout) ?? []
    if (exitCode === 0 && directory !== undefined) return directory
  } catch {
    // Without Nix nothing can be uploaded, but waiting jobs can still be shown.
  }
  return '/nix/store'
}

/** The release of Nix, such as `nix (Nix) 2.26.3`: the first line; Lix prints more about the machine after it. */
export async function nixVersion(): Promise<string> {
  const { exitCode, stdout } = await run('nix', ['--version'], queryOptions())
  return exitCode === 0 ? (stdout.trim().split('\n')[0] ?? '') : 'this Nix'
}

/**
 * Tells which store paths are not valid: not in the store, whatever may lie on the disk.
 * @throws {NixFailure} if Nix couldn't tell.
 */
export async function invalidPaths(paths: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
  return lines(await query(['--check-validity', '--print-invalid', ...paths], signal))
}

/**
 * Looks up the outputs of a derivation.
 * @throws {NixFailure} if the derivation isn't in the store; the failure says so.
 */
export async function outputsOf(drvPath: string, signal?: AbortSignal): Promise<string[]> {
  try {
    return [...lines(await query(['--query', '--outputs', drvPath], signal))]
  } catch (error) {
    unlessEnded(error)
    const isGone = error instanceof NixFailure && (await invalidPaths([drvPath], signal)).has(drvPath)
    throw isGone ? new NixFailure(error.messages, undefined, gone(drvPath)) : error
  }
}

/** `nix-store`, not `nix path-info`: its output is the same in every version of Nix. */
async function query(args: readonly string[], signal?: AbortSignal): Promise<string> {
  return unlessFailed(await run('nix-store', args, queryOptions(signal))).stdout
}

/** How to query the local store. */
export function queryOptions(signal?: AbortSignal): RunOptions {
  return { silenceMs: QUERY_TIMEOUT_MS, ...(signal ? { signal } : {}) }
}

function lines(stdout: string): Set<string> {
  return new Set(stdout.split('\n').filter((line) => line !== ''))
}
