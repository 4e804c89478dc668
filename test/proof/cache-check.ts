// Whether what lies in a `file://` binary cache is whole, as it lies there.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type NarInfo, narinfoName, parseNarInfo } from '../../src/cache/narinfo.ts'
import { hashText } from '../../src/nix/nar-hash.ts'

const TEMPORARY = '.nix-upload-tmp'

/** A cache has a path when its narinfo is there, and all that this tells of. */
export function isInCache(cache: string, storePath: string): boolean {
  const name = narinfoName(storePath)
  if (!existsSync(join(cache, name))) return false
  const info = parseNarInfo(readFileSync(join(cache, name), 'utf8'))
  return (
    info !== undefined &&
    basename(info.storePath) === basename(storePath) &&
    holesOf(cache, info).length === 0
  )
}

/** What a narinfo tells of that isn't there. */
function holesOf(cache: string, { url, references }: NarInfo): string[] {
  const narinfos = references.map((reference) => `${reference.slice(0, 32)}.narinfo`)
  return [url, ...narinfos].filter((file) => !existsSync(join(cache, file)))
}

/** Files that are not whole under their names, and narinfos that tell of what isn't there: each in a line. */
export function halvesIn(cache: string): string[] {
  const namesIn = (directory: string) =>
    (existsSync(directory) ? readdirSync(directory) : []).filter((name) => name !== TEMPORARY)
  const fileHashes = new Map<string, string>()
  const ofNames = namesIn(cache).flatMap((name): string[] => {
    if (name === 'nar') return []
    const text = readFileSync(join(cache, name), 'utf8')
    if (name === 'nix-cache-info') return /^StoreDir: \/.*\n$/.test(text) ? [] : [`${name} is "${text}"`]
    const info = name.endsWith('.narinfo') ? parseNarInfo(text) : undefined
    const [, fileHash] = /^FileHash: (.*)$/m.exec(text) ?? []
    if (!info || fileHash === undefined || !text.endsWith('\n')) return [`${name} is "${text}"`]
    fileHashes.set(info.url, fileHash)
    return holesOf(cache, info).map((hole) => `${name} tells of ${hole}, which isn't there`)
  })
  const ofArchives = namesIn(join(cache, 'nar')).flatMap((name) => {
    const bytes = readFileSync(join(cache, 'nar', name))
    const hash = hashText(createHash('sha256').update(bytes).digest())
    // A small one is named by what is in it; a large one, as long as no narinfo tells of it, may be anything.
    const ownName = name.includes('-') ? hash : `sha256:${name.replace(/\.nar.*/, '')}`
    const expected = fileHashes.get(`nar/${name}`) ?? ownName
    return hash === expected ? [] : [`nar/${name} has the hash ${hash} and not ${expected}`]
  })
  return [...ofNames, ...ofArchives]
}
