import { setTimeout as sleep } from 'node:timers/promises'
import { CACHE_INFO } from '../../cache/cache-info.ts'
import { contentTypeOf } from '../../cache/content-type.ts'
import type { Destination } from '../../config/config.ts'
import { networkSettings } from '../../nix/network-settings.ts'
import { createTransport } from '../../transport/create-transport.ts'
import type { StreamBody, Transport } from '../../transport/transport.ts'
import { type Check, fail, ok, warn } from './check.ts'

/** How long a destination may take to answer, in milliseconds. */
export const PATIENCE_MS = 20_000

/**
 * Writes `nix-cache-info` as it is there already, which changes nothing. To a cache without one, which is new, an upload is begun
 * and broken off, of which nothing stays.
 */
export async function probeCache(
  name: string,
  { to, netrcFile }: Destination,
  storeDir: string,
  user: string,
): Promise<Check[]> {
  const checks: Check[] = []
  const onWarning = (message: string) => {
    checks.push(warn(name, message, `Give ${user} the right to read there, too`))
  }
  const transport = createTransport({
    to,
    netrcFile,
    network: networkSettings,
    progressTimeoutMs: PATIENCE_MS,
    onWarning,
  })
  const signal = AbortSignal.timeout(PATIENCE_MS)
  try {
    const there = await transport.get(CACHE_INFO, signal)
    const storeThere = /^StoreDir: (.*)$/m.exec(there ?? '')?.[1]?.trim()
    if (storeThere !== undefined && storeThere !== storeDir) {
      return [
        fail(name, `it is for the store ${storeThere}, and this one is ${storeDir}`, 'Upload somewhere else'),
      ]
    }
    if (there === undefined) {
      await begin(transport, signal)
      return [ok(name, `answers ${user}; it is empty, and refused no upload that was begun and broken off`)]
    }
    const body = Buffer.from(there)
    await transport.put(
      { name: CACHE_INFO, contentType: contentTypeOf(CACHE_INFO), body },
      signal,
      () => undefined,
    )
    return [ok(name, `answers ${user}, and can be written to`), ...checks]
  } catch (error) {
    if (!signal.aborted) throw error
    const what = `${to} does not answer ${user} within ${PATIENCE_MS / 1000} s`
    return [fail(name, what, 'Check its address, the network and the proxy')]
  } finally {
    transport.close()
  }
}

/** How long a server is waited for to refuse an upload that has begun, in milliseconds. */
const REFUSES_WITHIN_MS = 2_000

class BrokenOff extends Error {}

/** @throws {UploadFailure} if the upload is refused before it is whole. */
async function begin(transport: Transport, signal: AbortSignal): Promise<void> {
  const body: StreamBody = {
    // Of two bytes one is sent: a server that looks at rights only when it has both tells us nothing.
    size: 2,
    atMost: 2,
    async *open(ended) {
      yield Buffer.from('\n')
      await sleep(REFUSES_WITHIN_MS, undefined, { signal: ended })
      throw new BrokenOff()
    },
  }
  const upload = { name: CACHE_INFO, contentType: contentTypeOf(CACHE_INFO), body }
  await transport
    .put(upload, signal, () => undefined)
    .catch((error: unknown) => {
      if (!(error instanceof BrokenOff)) throw error
    })
}
