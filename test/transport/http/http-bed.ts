// What the tests of http have in common: a directory, a server that misbehaves when told to, and ways to it.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach } from 'vitest'
import { HttpTransport } from '../../../src/transport/http/http-transport.ts'
import type { Transport } from '../../../src/transport/transport.ts'
import type { TransportOptions } from '../../../src/transport/transport-options.ts'
import { startMoodyCache } from '../../support/servers/moody-cache.ts'
import { type NginxOptions, startNginx } from '../../support/servers/nginx.ts'
import { quickConcurrency } from '../bed.ts'

/** For one file of tests; what is opened is closed after each. */
export async function httpBed() {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-http-'))
  const cache = await startMoodyCache()
  const opened: Transport[] = []
  afterEach(() => {
    for (const transport of opened.splice(0)) transport.close()
    cache.calm()
  })
  afterAll(async () => {
    await cache.cleanup()
    await rm(dir, { recursive: true })
  })
  const transportTo = (to: string, options: Partial<TransportOptions> = {}): Transport => {
    const own = { to, progressTimeoutMs: 20_000, requests: quickConcurrency() }
    const transport = new HttpTransport({ ...own, ...options })
    opened.push(transport)
    return transport
  }
  return { dir, cache, transportTo }
}

export async function withNginx(
  options: NginxOptions,
  use: (url: string, root: string) => Promise<unknown>,
): Promise<void> {
  const nginx = await startNginx(options)
  try {
    await use(nginx.url, nginx.root)
  } finally {
    await nginx.stop()
  }
}
