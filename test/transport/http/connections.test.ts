// Connections end when all is over, whatever they were doing.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { plainContext } from '../../../src/transport/attempt.ts'
import { Agents } from '../../../src/transport/http/agents.ts'
import { exchange } from '../../../src/transport/http/exchange.ts'
import type { HttpRequest } from '../../../src/transport/http/http-request.ts'
import { stallTimeout } from '../../../src/transport/stall-timeout.ts'
import { startMoodyCache } from '../../support/servers/moody-cache.ts'
import { behindSilence } from './silent-port.ts'

const NO_PROXY = { PATH: process.env.PATH }

/** As those who ask do it. */
const patiently = (wanted: HttpRequest) =>
  stallTimeout(60_000)((attempt, context) => attempt(context))(
    ({ signal }) => exchange({ ...wanted, signal }),
    plainContext(wanted.signal, () => undefined),
  )

test('nothing is left of connections that were being made when it is over', async () => {
  const made = new Agents({ env: NO_PROXY })
  const url = await behindSilence()
  const ended = new AbortController()
  const { signal } = ended
  const asked = patiently({ method: 'GET', url, headers: {}, agents: made, signal })
  const failed = asked.catch((reason: unknown) => reason)
  await expect.poll(() => connecting(url)).toBe(1)
  ended.abort(new Error('no more'))
  await failed
  made.close()
  await expect.poll(() => connecting(url)).toBe(0)
})

test.each([0, 10])(
  'nothing is made anew for what is ended at the end, after %i bytes of its answer',
  async (stallAfter) => {
    const cache = await startMoodyCache()
    const made = new Agents({ env: NO_PROXY })
    const url = new URL(`${cache.url}/x`)
    const ask = (method: string, signal: AbortSignal, body?: Buffer) =>
      patiently({ method, url, headers: {}, body, agents: made, signal })
    await ask('PUT', new AbortController().signal, Buffer.alloc(1000))
    cache.behave({ stallAfter })
    const ended = new AbortController()
    const asked = ask('GET', ended.signal).catch((reason: unknown) => reason)
    await expect.poll(() => cache.count('GET')).toBe(1)
    await sleep(50)
    ended.abort(new Error('no more'))
    made.close()
    expect(await asked).toMatchObject({ message: 'no more' })
    await sleep(200)
    expect(await cache.connections()).toBe(0)
    await cache.cleanup()
  },
)

/** How many connections to a port of this machine are being made (proc_net_tcp(5): state 2, SYN_SENT). */
function connecting({ port }: URL): number {
  const to = `:${Number(port).toString(16).toUpperCase().padStart(4, '0')}`
  const rows = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
  return rows.filter(([, , remote, state]) => remote?.endsWith(to) && state === '02').length
}
