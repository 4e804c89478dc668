// A cache writer, with a Nix and a cache of its own: what its tests have in common.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { CacheWriter } from '../../src/cache/cache-writer.ts'
import type { Failures } from '../../src/cache/closure-upload.ts'
import { Packer } from '../../src/cache/nar/packer.ts'
import { Upstream } from '../../src/cache/upstream.ts'
import type { Destination } from '../../src/config/config.ts'
import { simpleDestination } from '../../src/config/destination.ts'
import { StoreSession } from '../../src/nix/store-session.ts'
import { createTransport } from '../../src/transport/create-transport.ts'
import type { UploadProgress } from '../../src/util/upload-progress.ts'
import type { NixVersion } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'

const HOUR_MS = 3_600_000
export const never = new AbortController().signal

export interface WriterOptions extends Partial<Destination> {
  upstream?: Upstream
}

export interface TestWriter {
  progress: UploadProgress
  /** What was said that is no failure. */
  warnings: string[]
  send(paths: readonly string[], drvPaths?: readonly string[], signal?: AbortSignal): Promise<Failures>
  probe(): Promise<void>
}

export class WriterBed {
  readonly nix: PrivateNix
  readonly cache: MoodyCache

  constructor(nix: PrivateNix, cache: MoodyCache) {
    this.nix = nix
    this.cache = cache
  }

  writer(options: WriterOptions = {}, cache = this.cache): TestWriter {
    const { upstream, ...rest } = options
    const destination = { ...simpleDestination(cache.url, undefined), presenceAgeMs: HOUR_MS, ...rest }
    const progress = { sentBytes: 0, expectedBytes: 0 }
    const warnings: string[] = []
    const store = new StoreSession()
    const packer = new Packer(2)
    const writer = new CacheWriter(destination, {
      store,
      packer,
      transport: createTransport(destination),
      upstream: upstream ?? new Upstream([], new Map(), HOUR_MS, () => undefined),
      onWarning: (message, path) => warnings.push(path === undefined ? message : `${path}: ${message}`),
    })
    onTestFinished(() => {
      store.close()
      packer.close()
      writer.close()
    })
    return {
      progress,
      warnings,
      send: (paths, drvPaths = [], signal = never) => writer.send(paths, drvPaths, signal, progress),
      probe: () => writer.probe(never),
    }
  }

  /** The closure of some paths, references first. */
  async closure(paths: readonly string[]): Promise<string[]> {
    const { stdout } = await this.nix.run('nix-store', ['-qR', ...paths])
    return stdout.split('\n').filter(Boolean)
  }

  /** Which of these paths a cache has, by their narinfos. */
  cached(paths: readonly string[], cache = this.cache): string[] {
    return paths.filter((path) => existsSync(join(cache.dir, narinfoOf(path))))
  }

  narinfo(path: string, cache = this.cache): string {
    return readFileSync(join(cache.dir, narinfoOf(path)), 'utf8')
  }

  archives(cache = this.cache): string[] {
    const directory = join(cache.dir, 'nar')
    return existsSync(directory) ? readdirSync(directory) : []
  }

  /** Changes what lies in the store, as a broken disk does. */
  async damage(path: string, script: string): Promise<void> {
    await this.nix.run('sh', ['-c', `chmod -R u+w "$1"; ${script}`, 'sh', path])
  }
}

export const narinfoOf = (path: string) => `${basename(path).slice(0, 32)}.narinfo`

/** Everything for a test, taken down at its end; until then this process has that Nix's environment. */
export async function makeBed(version: NixVersion): Promise<WriterBed> {
  const [nix, cache] = await Promise.all([makePrivateNix(version, { name: 'writer' }), startMoodyCache()])
  const before = { ...process.env }
  Object.assign(process.env, nix.env)
  onTestFinished(async () => {
    for (const name of Object.keys(nix.env)) delete process.env[name]
    Object.assign(process.env, before)
    await cache.cleanup()
    await nix.cleanup()
  })
  return new WriterBed(nix, cache)
}

/** Another cache. */
export async function anotherCache(): Promise<MoodyCache> {
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  return cache
}
