import type { SecretKey } from '../nix/secret-key.ts'
import { ANY_STORE, splitStorePath } from '../nix/store-path.ts'
import { isObject } from '../util/is-object.ts'

/** The content of a cache's file about an output of a content-addressed derivation. */
export interface Realisation {
  /** The file's: `realisations/HASH!OUTPUT.doi`; from Nix 2.35 on `build-trace-v2/DERIVATION/OUTPUT.doi`. */
  name: string
  /** A store path without its directory. */
  outPath: string
  /** `KEY-NAME:BASE64`, each. */
  signatures: readonly string[]
  /** Everything except the signatures, in the order of the file. */
  rest: Readonly<Record<string, unknown>>
}

/** @returns undefined if the text is no realisation. */
export function parseRealisation(name: string, text: string): Realisation | undefined {
  const { signatures, ...rest } = objectIn(text) ?? {}
  if (typeof rest.outPath !== 'string' || !splitStorePath(`/${rest.outPath}`, ANY_STORE)) return undefined
  const known = Array.isArray(signatures) ? signatures.flatMap(signatureOf) : []
  return { name, outPath: rest.outPath, signatures: known, rest }
}

/** The same with our signatures beside those it has. */
export function signed(realisation: Realisation, keys: readonly SecretKey[]): Realisation {
  const fingerprint = fingerprintOf(realisation)
  const own = keys.map((key) => key.sign(fingerprint))
  return { ...realisation, signatures: [...new Set([...realisation.signatures, ...own])].sort() }
}

/** What its file says, as Nix writes it. */
export function textOf({ name, rest, signatures }: Realisation): string {
  const written = keyIn(name) === undefined ? signatures : signatures.map(splitSignature)
  return JSON.stringify({ ...rest, signatures: written })
}

/** What a signature covers (nix: src/libstore/realisation.cc, `fingerprint`). */
function fingerprintOf({ name, rest }: Realisation): string {
  const key = keyIn(name)
  return JSON.stringify(key === undefined ? rest : { key, value: rest })
}

/** From Nix 2.35 on, only the file's name says which output it is about. */
function keyIn(name: string): { drvPath: string; outputName: string } | undefined {
  const [, drvPath, outputName] = /^build-trace-[^/]+\/([^/]+)\/([^/]+)\.doi$/.exec(name) ?? []
  return drvPath === undefined || outputName === undefined ? undefined : { drvPath, outputName }
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** From Nix 2.35 on it is an object. */
function signatureOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return isObject(value) ? [`${value.keyName}:${value.sig}`] : []
}

function splitSignature(signature: string): { keyName: string; sig: string } {
  const at = signature.indexOf(':')
  return { keyName: signature.slice(0, at), sig: signature.slice(at + 1) }
}
