import { createPublicKey, verify } from 'node:crypto'
import { narHashOf } from './nar-hash.ts'
import { hashOf } from './store-path.ts'
import type { StoreObject } from './store-server.ts'

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

/** @returns undefined where the text is no narinfo, such as the page a server shows in place of what isn't there. */
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
  const fingerprint = `1;${info.storePath};${info.narHash};${info.narSize};${references.join(',')}`
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

/** Whether a narinfo is of what the local store has: the same content with the same references. */
export function isOf(info: NarInfo, { path, narHash, narSize, references }: StoreObject): boolean {
  const names = references.map((reference) => reference.slice(reference.lastIndexOf('/') + 1))
  return (
    info.storePath === path &&
    info.narHash === narHash &&
    info.narSize === narSize &&
    [...info.references].sort().join(' ') === names.sort().join(' ')
  )
}

/**
 * A narinfo that has Nix take a path for present in a cache. There is nothing behind it: it must never get to anybody
 * who would fetch it.
 */
export function placeholder(path: string): string {
  const lines = [
    'URL: nar/elsewhere',
    'Compression: none',
    `NarHash: sha256:${'1'.padStart(52, '0')}`,
    'NarSize: 1',
  ]
  return `${[`StorePath: ${path}`, ...lines].join('\n')}\nReferences: \n`
}
