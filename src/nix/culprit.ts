import { accessSync, constants, lstatSync } from 'node:fs'
import { schemeOf } from '../config/store-url.ts'
import { findProgram } from '../util/find-program.ts'
import type { RunResult } from '../util/run-program.ts'
import { codeOf } from '../util/user-error.ts'
import { UNREADABLE, UNSUPPORTED } from './blame-rules.ts'
import { closureOf } from './closure.ts'
import { type Diagnosis, gone, NixFailure, ofJob } from './failure.ts'
import { nixVersion } from './local-store.ts'
import { messagesOf } from './messages.ts'
import { findSaying, NO_S3 } from './said.ts'
import { StoreSession } from './store-session.ts'

/**
 * Refuses files that no archive can hold. If a store path is a pipe, Nix 2.35 opens it and waits for a writer.
 * @throws {NixFailure} if a path is a pipe, a socket or a device.
 */
export function refuseOddFiles(paths: readonly string[]): void {
  const odd = paths.find(isOddFile)
  if (odd !== undefined) throw new NixFailure([], undefined, unsupported(odd))
}

/**
 * Why a copy failed: the store and the disk are asked first; Nix's messages count only if these don't tell.
 * @param to The URL of the destination.
 * @param closure Whether dependencies were to be copied too.
 */
export async function failureOfCopy(
  result: RunResult,
  to: string,
  paths: readonly string[],
  closure: boolean,
  signal: AbortSignal,
): Promise<NixFailure> {
  const said = messagesOf(result.lines)
  if (result.ended === 'aborted' || signal.aborted) return new NixFailure(said, 'aborted')
  const lacking = await lackingFor(to, said)
  if (lacking !== undefined) return new NixFailure(said, undefined, lacking)
  const culprit = await findCulprit(paths, closure, signal).catch((error: unknown) => {
    // If the store can't be asked, the copy failed for the same reason.
    if (!(error instanceof NixFailure)) throw error
    return undefined
  })
  return new NixFailure(said, culprit === undefined ? result.ended : undefined, culprit)
}

/** The fault of the first faulty path. */
async function findCulprit(
  paths: readonly string[],
  closure: boolean,
  signal: AbortSignal,
): Promise<Diagnosis | undefined> {
  const store = new StoreSession()
  try {
    const valid = new Set((await store.objects(paths, signal)).map(({ path }) => path))
    const invalid = paths.find((path) => !valid.has(path))
    if (invalid !== undefined) return gone(invalid)
    const all = closure ? [...(await closureOf(store, paths, signal)).keys()] : paths
    return all.map(complaintAbout).find((complaint) => complaint !== undefined)
  } finally {
    store.close()
  }
}

function complaintAbout(path: string): Diagnosis | undefined {
  if (isOddFile(path)) return unsupported(path)
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (!stats) return filesGone(path)
  if (stats.isSymbolicLink()) return undefined
  try {
    accessSync(path, constants.R_OK)
    return undefined
  } catch (error) {
    return codeOf(error) === 'EACCES' ? unreadable(path) : undefined
  }
}

/** What this machine lacks to reach a destination. */
async function lackingFor(to: string, said: readonly string[]): Promise<Diagnosis | undefined> {
  const scheme = schemeOf(to)
  if (/^ssh/.test(scheme) && !findProgram('ssh')) {
    const means = 'there is no ssh on the PATH: install the OpenSSH client, or add it to the PATH'
    return { blame: 'destination', means }
  }
  if (scheme !== 's3' || !said.some((message) => findSaying(NO_S3, message))) return undefined
  // The release of Nix, since a service may have another PATH than a person.
  const means =
    `${await nixVersion()}, the one here, was built without S3 and can't upload there: leave out via = "nix", ` +
    'or use the Nix of nixpkgs or nixos.org'
  return { blame: 'destination', means }
}

function filesGone(path: string): Diagnosis {
  return ofJob(
    path,
    `Nix takes ${path} for valid, but its files are gone from the disk: run nix-store --repair-path on it, or build it again, then requeue the job`,
  )
}

function unreadable(path: string): Diagnosis {
  return ofJob(path, `${path}: ${UNREADABLE}`)
}

function unsupported(path: string): Diagnosis {
  return ofJob(path, `${path}: ${UNSUPPORTED}`)
}

/** Whether a path is something other than a file, a directory or a symlink. */
function isOddFile(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && !(stats.isFile() || stats.isDirectory() || stats.isSymbolicLink())
}
