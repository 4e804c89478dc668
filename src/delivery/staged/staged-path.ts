import { renameSync, statSync, unlinkSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../../config/user-error.ts'
import type { StoreObject } from '../../nix/closure.ts'
import { narinfoName, parseNarInfo } from '../../nix/narinfo.ts'
import { hashOf } from '../../nix/store-path.ts'

/** A file of a binary cache, by its name there. */
export interface CacheFile {
  name: string
  /** Where it lies here. */
  file: string
  size: number
}

/** A store path as the files that a binary cache gets of it. */
export interface StagedPath {
  object: StoreObject
  narinfo: CacheFile
  /** What the narinfo tells of, and so has to be there before it: the NAR, and its listing if there is one. */
  parts: readonly CacheFile[]
}

/** The bytes that are to be sent. */
export function bytesOf({ narinfo, parts }: StagedPath): number {
  return parts.reduce((sum, { size }) => sum + size, narinfo.size)
}

/**
 * What of these paths was packed into a cache on this machine, moved to another directory.
 * @param to On the same filesystem, with a directory `nar`.
 */
export async function moveStaged(
  objects: readonly StoreObject[],
  from: string,
  to: string,
): Promise<StagedPath[]> {
  const names = new Set(await readdir(from))
  const staged: StagedPath[] = []
  for (const object of objects) {
    if (!names.has(narinfoName(object.path))) continue
    const info = parseNarInfo(await readFile(join(from, narinfoName(object.path)), 'utf8'))
    const listing = `${hashOf(object.path)}.ls`
    if (!info) continue
    staged.push({
      object,
      parts: [info.url, ...(names.has(listing) ? [listing] : [])].map((name) => move(name, from, to)),
      narinfo: move(narinfoName(object.path), from, to),
    })
  }
  return staged
}

/** Two paths with the same content share a NAR, which then is there already. */
function move(name: string, from: string, to: string): CacheFile {
  const file = join(to, name)
  if (statSync(join(from, name), { throwIfNoEntry: false })) renameSync(join(from, name), file)
  return { name, file, size: statSync(file).size }
}

/** Removes a file that may be gone already. */
export function removeFile(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}
