// The proof: what is in the cache is fetched by a Nix that has nothing yet and takes only what is signed.

import { existsSync, readFileSync } from 'node:fs'
import type { Folder } from './folder.ts'

/** Fetches all paths back, trusting the key they were signed with, and compares them with what was built. */
export async function fetchBack(folder: Folder, paths: string[]): Promise<void> {
  const fetched = await folder.nix.substituteFrom(`file://${folder.cache}`, paths, folder.publicKey)
  if (fetched.exitCode !== 0) throw new Error(`the paths can't be fetched from the cache:\n${fetched.stderr}`)
  const different = paths.find((path) => !readFileSync(path).equals(readFileSync(fetched.realFile(path))))
  if (different !== undefined) throw new Error(`${different} came back from the cache as something else.`)
}

/**
 * Tries the same with a key of the same name that signed nothing.
 * @returns Nix's reason for refusing, a clause that goes on from "the paths are".
 */
export async function fetchWithWrongKey(folder: Folder, paths: string[]): Promise<string> {
  const { publicKey } = await folder.nix.keyPair('tour-1')
  const { exitCode, stderr, realFile } = await folder.nix.substituteFrom(
    `file://${folder.cache}`,
    paths,
    publicKey,
  )
  if (exitCode === 0 || paths.some((path) => existsSync(realFile(path)))) {
    throw new Error('Nix took paths from the cache whose signature it could not check.')
  }
  const reason = /not signed by any of the keys in \S+/.exec(stderr)?.[0]
  if (reason === undefined) throw new Error(`Nix refused the paths, but not for their signatures:\n${stderr}`)
  return reason
}
