// A server of ours in the place of S3, that answers as a test has it.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach } from 'vitest'
import { startMoodyCache } from '../../support/servers/moody-cache.ts'
import { errorXml } from './s3-bed.ts'

/** For one file of tests. */
export async function moodyS3() {
  const cache = await startMoodyCache()
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-answers-'))
  afterEach(() => cache.calm())
  afterAll(async () => {
    await cache.cleanup()
    await rm(dir, { recursive: true })
  })
  return { cache, dir, url: (query = '') => `s3://cache?endpoint=${cache.url}${query}` }
}

/** An answer as S3 gives it. */
export function says(status: number, code: string, headers: Record<string, string> = {}, message = '') {
  const body = errorXml(code, message)
  return { status, headers: { 'content-type': 'application/xml', ...headers }, body, early: true }
}
