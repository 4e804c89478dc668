// Transports to a cache over http that misbehaves, for a test file.

import { afterEach, beforeAll } from 'vitest'
import type { ConcurrencyOptions } from '../../src/transport/adaptive-concurrency.ts'
import { HttpTransport } from '../../src/transport/http/http-transport.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'
import { quickConcurrency } from './bed.ts'

export interface OpenOptions extends Partial<ConcurrencyOptions> {
  to?: string
  progressTimeoutMs?: number
}

/** Starts the cache for a test file; after each test it is itself again, and what was opened is closed. */
export function moodyBed() {
  let cache: MoodyCache
  const opened: HttpTransport[] = []

  beforeAll(async () => {
    cache = await startMoodyCache()
    return () => cache.cleanup()
  })

  afterEach(() => {
    cache.calm()
    for (const transport of opened.splice(0)) transport.close()
  })

  return {
    get cache(): MoodyCache {
      return cache
    },
    /** A way to the cache, and how many requests it makes at a time. */
    open({ to = cache.url, progressTimeoutMs = 20_000, ...options }: OpenOptions = {}) {
      const concurrency = quickConcurrency(options)
      const transport = new HttpTransport({ to, progressTimeoutMs, requests: concurrency })
      opened.push(transport)
      return { transport, concurrency }
    },
  }
}
