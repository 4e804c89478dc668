import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isOf, isSignedWith, narinfoName, parseNarInfo } from '../../nix/narinfo.ts'
import { signIn } from '../../nix/stage.ts'
import { publicKeyOf } from '../../nix/verify.ts'
import { failureOf } from '../failure.ts'
import type { Found } from './presence.ts'
import type { ScratchSpace } from './scratch.ts'
import type { Transport } from './transport.ts'

/** A narinfo that stays as it is, without our signature. */
export interface Unsigned {
  path: string
  why: string
}

/**
 * Adds our signature to narinfos that somebody put there without it, where they tell of what is in the local store. Nix
 * signs; what differs is never signed, since nobody knows what it is.
 * @returns What stays unsigned, and why.
 * @throws {NixFailure | SendFailure} where Nix can't sign, or the destination is in trouble.
 */
export async function repair(
  found: readonly Found[],
  secretKeyFile: string,
  transport: Transport,
  scratch: ScratchSpace,
  signal: AbortSignal,
): Promise<Unsigned[]> {
  const isOurs = ({ info, object }: Found) => isOf(info, object)
  const ours = found.filter(isOurs)
  const differing = found
    .filter((one) => !isOurs(one))
    .map(({ object }) => ({ path: object.path, why: 'what stands there is not what was built here' }))
  if (ours.length === 0) return differing
  const publicKey = publicKeyOf(secretKeyFile)
  const refused = await scratch.use(async (cache) => {
    const file = ({ object }: Found) => join(cache.directory, narinfoName(object.path))
    await Promise.all(ours.map((one) => writeFile(file(one), one.text)))
    await signIn(
      cache,
      secretKeyFile,
      ours.map(({ object }) => object.path),
      signal,
    )
    const stays = await Promise.all(
      ours.map(async (one): Promise<Unsigned[]> => {
        const { path } = one.object
        const why = await replace(
          transport,
          narinfoName(path),
          await readFile(file(one), 'utf8'),
          publicKey,
          signal,
        )
        return why === undefined ? [] : [{ path, why }]
      }),
    )
    return stays.flat()
  })
  return [...differing, ...refused]
}

/** @returns Why it is not as it should be afterwards. */
async function replace(
  transport: Transport,
  name: string,
  text: string,
  publicKey: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await transport.put(name, { text }, signal, () => undefined)
  } catch (error) {
    const failure = failureOf(error)
    if (failure?.isOfOneFile) return failure.verdict.message
    throw error
  }
  const info = parseNarInfo((await transport.get(name, signal)) ?? '')
  return info && isSignedWith(info, publicKey) ? undefined : 'what stands there does not change'
}
