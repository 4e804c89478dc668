import type { SecretKey } from '../nix/secret-key.ts'
import type { Transport } from '../transport/transport.ts'
import { UploadFailure } from '../util/verdict.ts'
import { contentTypeOf } from './content-type.ts'
import type { Found } from './known-paths.ts'
import { isOf, isSignedWith, narinfoName, parseNarInfo, withSignatures } from './narinfo.ts'

/** A narinfo that stays as it is, without our signature. */
export interface Unsigned {
  path: string
  why: string
}

/** The keys that a narinfo is not signed with. */
export function lackingKeys({ info }: Found, keys: readonly SecretKey[]): SecretKey[] {
  return keys.filter(({ publicKey }) => !isSignedWith(info, publicKey))
}

/**
 * Adds our signatures to narinfos that somebody uploaded without them, if they match the paths in the local store. A narinfo
 * that differs is never signed, since nobody knows its content.
 * @returns What stays unsigned, and why.
 * @throws {UploadFailure} if the destination is in trouble.
 */
export async function resign(
  found: readonly Found[],
  keys: readonly SecretKey[],
  transport: Transport,
  signal: AbortSignal,
): Promise<Unsigned[]> {
  const stays = await Promise.all(
    found.map(async (one): Promise<Unsigned[]> => {
      const why = await resignOne(one, keys, transport, signal)
      return why === undefined ? [] : [{ path: one.object.path, why }]
    }),
  )
  return stays.flat()
}

/** @returns Why it is not as it should be afterwards. */
async function resignOne(
  found: Found,
  keys: readonly SecretKey[],
  transport: Transport,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { info, object, text } = found
  if (!isOf(info, object)) return 'what stands there is not what was built here'
  const name = narinfoName(object.path)
  const body = Buffer.from(withSignatures(text, object, lackingKeys(found, keys)))
  try {
    await transport.put({ name, contentType: contentTypeOf(name), body }, signal, () => undefined)
  } catch (error) {
    if (error instanceof UploadFailure && error.isOfOneFile) return error.message
    throw error
  }
  const after = parseNarInfo((await transport.get(name, signal)) ?? '')
  const isSigned = after && keys.every(({ publicKey }) => isSignedWith(after, publicKey))
  return isSigned ? undefined : 'what stands there does not change'
}
