import { createPublicKey, verify } from 'node:crypto'
import { narHashOf } from '../nix/nar-hash.ts'
import type { SecretKey } from '../nix/secret-key.ts'
import { hashOf } from '../nix/store-path.ts'
import type { StoreObject } from '../nix/store-server.ts'

/** What a binary cache says of a store path, as far as it matters here. */
export interface NarInfo {
  storePath: string
  /** Where the NAR is, relative to the cache. */
  url: string
  /** Bytes, as it lies there; a narinfo need not tell. */
  fileSize: number | undefined
  /** As `narHashOf` has it. */
  narHash: string
  /** Bytes, uncompressed. */
  narSize: number
  /** Store paths without their directory, as they are written there. */
  references: readonly string[]
  /** `KEY-NAME:BASE64`, each. */
  signatures: readonly string[]
}

/** The name of a path's narinfo in a binary cache. */
export function narinfoName(storePath: string): string {
  return `${hashOf(storePath)}.narinfo`
}

/** @returns undefined if the text is no narinfo, such as the page that a server shows for a missing file. */
export function parseNarInfo(text: string): NarInfo | undefined {
  const fields = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, key, value] = /^(\w+): (.*?)\r?$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) fields.set(key, [...(fields.get(key) ?? []), value])
  }
  const [storePath, url, hash, size] = ['StorePath', 'URL', 'NarHash', 'NarSize'].map(
    (key) => fields.get(key)?.[0],
  )
  const narHash = narHashOf(hash ?? '')
  const narSize = Number(size)
  if (!storePath || !url || narHash === undefined || !(narSize > 0)) return undefined
  const fileSize = Number(fields.get('FileSize')?.[0]) || undefined
  const references = (fields.get('References')?.[0] ?? '').split(' ').filter((name) => name !== '')
  return { storePath, url, fileSize, narHash, narSize, references, signatures: fields.get('Sig') ?? [] }
}

/**
 * Whether one of the signatures is the key's (nix: src/libstore/path-info.cc, `fingerprint`).
 * @param publicKey `NAME:BASE64`, as `trusted-public-keys` has it.
 */
export function isSignedWith(info: NarInfo, publicKey: string): boolean {
  const [name, key] = splitKey(publicKey)
  const storeDir = info.storePath.slice(0, info.storePath.lastIndexOf('/'))
  const references = [...info.references].sort().map((reference) => `${storeDir}/${reference}`)
  const fingerprint = fingerprintOf({
    path: info.storePath,
    narHash: info.narHash,
    narSize: info.narSize,
    references,
  })
  const own = info.signatures.map(splitKey).filter(([signer]) => signer === name)
  if (own.length === 0) return false
  const x = Buffer.from(key, 'base64').toString('base64url')
  const publicHalf = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return own.some(([, signature]) =>
    verify(null, Buffer.from(fingerprint), publicHalf, Buffer.from(signature, 'base64')),
  )
}

/** Splits a key or a signature into its name and the rest. */
function splitKey(text: string): [string, string] {
  const at = text.indexOf(':')
  return [text.slice(0, at), text.slice(at + 1)]
}

/** Whether a narinfo has the same content and references as the path in the local store. */
export function isOf(info: NarInfo, { path, narHash, narSize, references }: StoreObject): boolean {
  const names = references.map(baseName)
  return (
    info.storePath === path &&
    info.narHash === narHash &&
    info.narSize === narSize &&
    [...info.references].sort().join(' ') === names.sort().join(' ')
  )
}

/** An archive as it lies in a cache. */
export interface Archive {
  /** Relative to the cache. */
  name: string
  compression: string
  fileHash: string
  /** Bytes. */
  fileSize: number
}

/**
 * The narinfo of a store path: all fields, in the order in which Nix writes them (nix: src/libstore/nar-info.cc). The
 * signatures that the path has are kept.
 * @param keys What it is signed with beside them.
 */
export function narinfoOf(object: StoreObject, archive: Archive, keys: readonly SecretKey[]): string {
  const signatures = new Set([...object.signatures, ...signaturesOf(object, keys)])
  return [
    `StorePath: ${object.path}`,
    `URL: ${archive.name}`,
    `Compression: ${archive.compression}`,
    `FileHash: ${archive.fileHash}`,
    `FileSize: ${archive.fileSize}`,
    `NarHash: ${object.narHash}`,
    `NarSize: ${object.narSize}`,
    `References: ${object.references.map(baseName).sort().join(' ')}`,
    ...(object.deriver === undefined ? [] : [`Deriver: ${baseName(object.deriver)}`]),
    ...[...signatures].sort().map((signature) => `Sig: ${signature}`),
    ...(object.contentAddress === '' ? [] : [`CA: ${object.contentAddress}`]),
    '',
  ].join('\n')
}

/** Adds signatures to a narinfo, and changes nothing else in it. */
export function withSignatures(text: string, object: StoreObject, keys: readonly SecretKey[]): string {
  const lines = text.split('\n')
  const before = lines.findLastIndex((line) => /^(?:Sig|Deriver|References): ?/.test(line))
  lines.splice(before + 1, 0, ...signaturesOf(object, keys).map((signature) => `Sig: ${signature}`))
  return lines.join('\n')
}

function signaturesOf(object: StoreObject, keys: readonly SecretKey[]): string[] {
  if (keys.length === 0) return []
  const fingerprint = fingerprintOf({ ...object, references: [...object.references].sort() })
  return keys.map((key) => key.sign(fingerprint))
}

/**
 * What a signature covers (nix: src/libstore/path-info.cc).
 * @param object Its references sorted.
 */
function fingerprintOf({
  path,
  narHash,
  narSize,
  references,
}: Pick<StoreObject, 'path' | 'narHash' | 'narSize' | 'references'>): string {
  return `1;${path};${narHash};${narSize};${references.join(',')}`
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
