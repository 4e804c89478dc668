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
 * Writes `nix-cache-info` with its present content, which changes nothing. A new cache has none: there, an upload is begun and
 * broken off, which leaves nothing behind.
 */
export async function probeCache(
  name: string,
  { to, netrcFile }: Destination,
  storeDir: string,
  user: string,
): Promise<Check[]> {
  const checks: Check[] = []
  const onWarning = (message: string) => {
    checks.push(warn(name, message, `Also give ${user} the right to read there`))
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
        fail(
          name,
          `it is for the store ${storeThere}, but the local store is ${storeDir}`,
          'Upload somewhere else',
        ),
      ]
    }
    if (there === undefined) {
      await begin(transport, signal)
      return [
        ok(
          name,
          `answers ${user}; it is empty, and accepted the beginning of an upload, which was broken off`,
        ),
      ]
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

/** How long to wait for the refusal of an upload that has begun, in milliseconds. */
const REFUSES_WITHIN_MS = 2_000

class BrokenOff extends Error {}

/** @throws {UploadFailure} if the upload is refused before its end. */
async function begin(transport: Transport, signal: AbortSignal): Promise<void> {
  const body: StreamBody = {
    // One of two bytes is sent. A server that checks rights only after both doesn't refuse it.
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
