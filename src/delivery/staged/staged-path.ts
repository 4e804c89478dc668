import { readdirSync, readFileSync, renameSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { narinfoName, parseNarInfo } from '../../nix/narinfo.ts'
import { hashOf } from '../../nix/store-path.ts'
import type { StoreObject } from '../../nix/store-server.ts'
import { codeOf } from '../../util/user-error.ts'

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
  /** Short enough to be kept in memory. */
  narinfo: { name: string; text: string }
  /** What the narinfo tells of, and so has to be there before it: the NAR, and its listing if there is one. */
  parts: readonly CacheFile[]
}

/** The bytes that are to be sent. */
export function bytesOf({ narinfo, parts }: StagedPath): number {
  return parts.reduce((sum, { size }) => sum + size, Buffer.byteLength(narinfo.text))
}

/**
 * What of these paths was packed into a cache on this machine: its archives are moved to another directory. All at once,
 * because files as small as narinfos take less time than to wait for them does.
 * @param to On the same filesystem, with a directory `nar`.
 */
export function moveStaged(objects: readonly StoreObject[], from: string, to: string): StagedPath[] {
  const names = new Set(readdirSync(from))
  return objects.flatMap((object) => {
    const name = narinfoName(object.path)
    if (!names.has(name)) return []
    const text = readFileSync(join(from, name), 'utf8')
    const info = parseNarInfo(text)
    if (!info) return []
    const listing = `${hashOf(object.path)}.ls`
    const parts = [
      move(info.url, from, to, info.fileSize),
      ...(names.has(listing) ? [move(listing, from, to)] : []),
    ]
    return [{ object, narinfo: { name, text }, parts }]
  })
}

/** Two paths with the same content share a NAR, which then is there already. */
function move(name: string, from: string, to: string, size?: number): CacheFile {
  const file = join(to, name)
  try {
    renameSync(join(from, name), file)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
  return { name, file, size: size ?? statSync(file).size }
}

/** Removes a file that may be gone already. */
export function removeFile(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}
