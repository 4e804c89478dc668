import { accessSync, constants, lstatSync } from 'node:fs'
import type { RunResult } from '../util/run-program.ts'
import { codeOf } from '../util/user-error.ts'
import { closureOf } from './closure.ts'
import { NixFailure } from './failure.ts'
import { messagesOf } from './messages.ts'
import { isOddFile } from './odd-file.ts'
import { StoreSession } from './store-session.ts'

/**
 * Refuses what no archive can hold. Nix 2.35 opens a pipe that lies at a store path and waits for somebody to write.
 * @throws {NixFailure} where a path is a pipe, a socket or a device.
 */
export function refuseOddFiles(paths: readonly string[]): void {
  const odd = paths.find(isOddFile)
  if (odd !== undefined) throw new NixFailure([unsupported(odd)], undefined)
}

/**
 * Why a copy failed: where the store or the disk tells, that comes first, and what Nix says behind it.
 * @param closure Whether dependencies were to go along.
 */
export async function failureOfCopy(
  result: RunResult,
  paths: readonly string[],
  closure: boolean,
  signal: AbortSignal,
): Promise<NixFailure> {
  const said = messagesOf(result.lines)
  if (result.ended === 'aborted' || signal.aborted) return new NixFailure(said, 'aborted')
  const culprit = await findCulprit(paths, closure, signal).catch((error: unknown) => {
    // A store that can't be asked is why the copy failed, too.
    if (!(error instanceof NixFailure)) throw error
  })
  return culprit === undefined
    ? new NixFailure(said, result.ended)
    : new NixFailure([culprit, ...said], undefined)
}

/** What is wrong with the first path that something is wrong with, in words of Nix's, which `judge` knows. */
async function findCulprit(
  paths: readonly string[],
  closure: boolean,
  signal: AbortSignal,
): Promise<string | undefined> {
  const store = new StoreSession()
  try {
    const valid = new Set((await store.objects(paths, signal)).map(({ path }) => path))
    const invalid = paths.find((path) => !valid.has(path))
    if (invalid !== undefined) {
      return `path '${invalid}' is required, but there is no substituter that can build it`
    }
    const all = closure ? (await closureOf(store, paths, signal)).map(({ path }) => path) : paths
    return all.map(complaintAbout).find((complaint) => complaint !== undefined)
  } finally {
    store.close()
  }
}

function complaintAbout(path: string): string | undefined {
  if (isOddFile(path)) return unsupported(path)
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (!stats) return `getting status of '${path}': No such file or directory`
  if (stats.isSymbolicLink()) return undefined
  try {
    accessSync(path, constants.R_OK)
    return undefined
  } catch (error) {
    return codeOf(error) === 'EACCES' ? `opening file '${path}': Permission denied` : undefined
  }
}

function unsupported(path: string): string {
  return `file '${path}' has an unsupported type`
}
