import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { readPlainFile } from '../util/plain-file.ts'
import { UserError, wordsOf } from '../util/user-error.ts'
import { userName } from '../util/user-name.ts'

/** What an Ed25519 key in PKCS#8 begins with; its 32 bytes follow (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** A key that store paths are signed with. */
export class SecretKey {
  /** As `trusted-public-keys` has it: `NAME:BASE64`. */
  readonly publicKey: string
  readonly #name: string
  readonly #key: KeyObject

  private constructor(name: string, bytes: Buffer) {
    this.#name = name
    this.publicKey = `${name}:${bytes.subarray(32).toString('base64')}`
    const der = Buffer.concat([PKCS8, bytes.subarray(0, 32)])
    this.#key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  }

  /** @returns undefined if the text is no Nix secret key: `NAME:BASE64` of the seed and the public key. */
  static parse(text: string): SecretKey | undefined {
    // Buffer ignores what follows the padding: `cat a.key b.key` makes one line of two keys, since Nix writes no newline.
    const [, name, secret] = /^([^:\s]+):([A-Za-z\d+/]+={0,2})$/.exec(text) ?? []
    const bytes = Buffer.from(secret ?? '', 'base64')
    return name !== undefined && bytes.length === 64 ? new SecretKey(name, bytes) : undefined
  }

  /** @returns `NAME:BASE64`, as a narinfo has it. */
  sign(text: string): string {
    return `${this.#name}:${sign(null, Buffer.from(text), this.#key).toString('base64')}`
  }
}

/**
 * Reads the keys of a file, one on each line. The file is read each time, since someone may have replaced it.
 * @throws {UserError} if the file can't be read or holds no key.
 */
export function readSecretKeys(file: string): SecretKey[] {
  const lines = readKeyFile(file)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const keys = lines.map((line) => SecretKey.parse(line))
  const isWhole = keys.length > 0 && keys.every((key) => key !== undefined)
  if (!isWhole) {
    const isPublic = lines.length > 0 && lines.every(isPublicKey)
    const what = isPublic
      ? 'holds a public key; its secret key is in another file'
      : 'holds no secret key of Nix (NAME:BASE64, one per line)'
    throw new UserError(`secret-key-file: ${file} ${what}`)
  }
  return keys.flatMap((key) => key ?? [])
}

/** What is wrong with a key file that Nix is to sign with, if it has several keys. */
export function severalKeysProblem(file: string): string {
  return `${file} has several keys, and Nix, which writes to this destination, signs with the first only`
}

/**
 * The public half of the first key in a file, as `trusted-public-keys` wants it.
 * @throws {UserError} if the file can't be read or holds no key.
 */
export function publicKeyOf(file: string): string {
  return readSecretKeys(file)[0]?.publicKey ?? ''
}

function isPublicKey(line: string): boolean {
  return Buffer.from(/^[^:\s]+:(\S+)$/.exec(line)?.[1] ?? '', 'base64').length === 32
}

function readKeyFile(file: string): string {
  try {
    return readPlainFile(file)
  } catch (error) {
    throw new UserError(`secret-key-file can't be read by user ${userName()}: ${wordsOf(error)}`)
  }
}
