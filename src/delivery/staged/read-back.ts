import { isSignedWith } from '../../nix/narinfo.ts'
import type { StoreObject } from '../../nix/store-server.ts'
import { unsignedStays } from '../nix-route.ts'
import { SendFailure } from '../route.ts'
import type { Found, Presence } from './presence.ts'

/**
 * Makes sure that what was just uploaded is there, and as it should be.
 * @param publicKey What it must be signed with, if with anything.
 * @throws {SendFailure} where it isn't.
 */
export async function readBack(
  presence: Presence,
  objects: readonly StoreObject[],
  publicKey: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const found = await presence.ask(objects, () => true, signal)
  const lost = objects.filter(({ path }) => !found.has(path)).map(({ path }) => path)
  if (lost.length > 0) {
    const message = `uploaded, and the server said so, but it does not have ${lost.slice(0, 5).join(' ')}`
    throw new SendFailure({ blame: 'destination', permanent: false, message })
  }
  const isWrong = ({ info }: Found) => publicKey !== undefined && !isSignedWith(info, publicKey)
  const wrong = [...found.values()].filter(isWrong).map(({ object }) => object.path)
  if (wrong.length > 0) throw unsignedStays(wrong, 'what stands there is not what was sent')
}
