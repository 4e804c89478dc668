import { lstatSync } from 'node:fs'
import { resolve } from 'node:path'
import { type RunOptions, type RunResult, run } from '../util/run-program.ts'
import { NixFailure, unlessFailed } from './failure.ts'
import { messagesOf } from './messages.ts'
import { isOddFile } from './odd-file.ts'
import { findSaying, MODIFIED } from './said.ts'

/** Queries of the local store answer in milliseconds; one that hangs (a stuck nix-daemon) must not hang us. */
export const QUERY_TIMEOUT_MS = 120_000

/** Nix's store directory: asked of Nix once, as it is Nix's to say. */
export async function storeDirectory(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  // As Nix does: a slash at its end is no part of it.
  if (env.NIX_STORE_DIR) return resolve(env.NIX_STORE_DIR)
  try {
    const { exitCode, stdout } = await run('nix-instantiate', ['--eval', '-E', 'builtins.storeDir'])
    const [, directory] = /^"(\/.*)"\s*$/.exec(stdout) ?? []
    if (exitCode === 0 && directory !== undefined) return directory
  } catch {
    // Without Nix nothing can be uploaded, but what waits can still be looked at.
  }
  return '/nix/store'
}

/** Which Nix this is, such as `nix (Nix) 2.26.3`: the first line, behind which Lix has more about the machine. */
export async function nixVersion(): Promise<string> {
  const { exitCode, stdout } = await run('nix', ['--version'], queryOptions())
  return exitCode === 0 ? (stdout.trim().split('\n')[0] ?? '') : 'this Nix'
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

/**
 * Has Nix read store paths and compare them with what they were registered with.
 * @returns Exit code 0 where all is well, and otherwise what it says of the first ones that aren't.
 * @throws {NixFailure} where it was ended before it could tell.
 */
export async function verifyPaths(paths: readonly string[], signal?: AbortSignal): Promise<RunResult> {
  const result = await run('nix-store', ['--verify-path', ...paths], queryOptions(signal))
  if (result.ended) throw new NixFailure(messagesOf(result.lines), result.ended)
  return result
}

/**
 * Tells which store paths don't have the content that they were registered with, or none at all. A binary cache takes
 * such a path without a word, and whoever fetches it is told of a hash mismatch. Takes about a second for 150 MB.
 * One that can't be read isn't said to be corrupt, since that may pass; whoever uploads it meets the same trouble.
 * @param paths Valid store paths.
 * @throws {NixFailure} where Nix was ended before it could tell.
 */
export async function corruptPaths(paths: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
  if (paths.length === 0) return new Set()
  // Nix 2.35 would wait for somebody to write to the pipe.
  const odd = paths.filter(isOddFile)
  if (odd.length > 0) {
    const rest = paths.filter((path) => !odd.includes(path))
    return new Set([...odd, ...(await corruptPaths(rest, signal))])
  }
  const { exitCode, lines } = await verifyPaths(paths, signal)
  if (exitCode === 0) return new Set()
  const messages = messagesOf(lines)
  const changed = messages.flatMap((message) => findSaying(MODIFIED, message)?.[1] ?? [])
  if (changed.length === messages.length) return new Set(changed)
  // An error ends the run, whatever comes after the path that it is about.
  const gone = paths.filter(isGone)
  const found = new Set([...changed, ...gone])
  const left = paths.filter((path) => !found.has(path))
  if (found.size === 0 && left.length === 1) return found
  const parts = found.size > 0 ? [left] : halves(left)
  for (const part of parts) for (const path of await corruptPaths(part, signal)) found.add(path)
  return found
}

function isGone(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) === undefined
}

function halves<T>(items: readonly T[]): [T[], T[]] {
  const middle = Math.ceil(items.length / 2)
  return [items.slice(0, middle), items.slice(middle)]
}

/** `nix-store`, not `nix path-info`: it says the same in every version of Nix. */
async function query(args: readonly string[], signal?: AbortSignal): Promise<string> {
  return unlessFailed(await run('nix-store', args, queryOptions(signal))).stdout
}

/** How the local store is asked something. */
export function queryOptions(signal?: AbortSignal): RunOptions {
  return { silenceMs: QUERY_TIMEOUT_MS, ...(signal ? { signal } : {}) }
}

function lines(stdout: string): Set<string> {
  return new Set(stdout.split('\n').filter((line) => line !== ''))
}
