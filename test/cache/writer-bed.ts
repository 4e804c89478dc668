// A route by way of a stage, with a Nix and a cache of its own: what the tests of staged delivery have in common.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { StagedRoute } from '../../src/cache/cache-writer.ts'
import type { Unsigned } from '../../src/cache/resign.ts'
import { Upstream } from '../../src/cache/upstream.ts'
import type { Destination } from '../../src/config/config.ts'
import { simpleDestination } from '../../src/config/destination.ts'
import { Stage } from '../../src/delivery/staged/stage.ts'
import type { Progress } from '../../src/delivery/uploader.ts'
import { StoreSession } from '../../src/nix/store-session.ts'
import { createHttpTransport } from '../../src/transport/http/http-transport.ts'
import type { NixVersion } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'

const HOUR_MS = 3_600_000

export interface RouteOptions extends Partial<Destination> {
  stage?: Stage
  upstream?: Upstream
  chunkBytes?: number
  presenceAgeMs?: number
}

export interface TestRoute {
  progress: Progress
  /** What was said to stay without our signature. */
  unsigned: Unsigned[]
  send(paths: readonly string[], drvPaths?: readonly string[], signal?: AbortSignal): Promise<void>
  probe(): Promise<void>
}

export class StagedBed {
  readonly nix: PrivateNix
  readonly cache: MoodyCache
  readonly stageDirectory: string
  readonly #copies: string

  constructor(nix: PrivateNix, cache: MoodyCache) {
    this.nix = nix
    this.cache = cache
    this.stageDirectory = join(nix.dir, 'stage')
    this.#copies = join(nix.dir, 'copies.log')
  }

  makeStage(maxBytes = 1e9): Stage {
    const stage = new Stage(this.stageDirectory, maxBytes, this.nix.dir)
    onTestFinished(() => {
      stage.close()
      stage.empty()
    })
    return stage
  }

  route(options: RouteOptions = {}, cache = this.cache): TestRoute {
    const { stage = this.makeStage(), upstream, chunkBytes = 1e9, presenceAgeMs = HOUR_MS, ...rest } = options
    const destination = { ...simpleDestination(cache.url, undefined), ...rest }
    const progress = { sentBytes: 0, expectedBytes: 0 }
    const unsigned: Unsigned[] = []
    const store = new StoreSession()
    onTestFinished(() => store.close())
    const route = new StagedRoute(destination, {
      store,
      transport: createHttpTransport(destination),
      pool: stage.poolFor(destination),
      scratch: stage.scratch(destination.progressTimeoutMs),
      upstream: upstream ?? new Upstream([], [], presenceAgeMs),
      presenceAgeMs,
      chunkBytes,
      onUnsigned: (more) => unsigned.push(...more),
    })
    onTestFinished(() => route.close())
    return {
      progress,
      unsigned,
      send: (paths, drvPaths = [], signal = new AbortController().signal) =>
        route.send(paths, drvPaths, signal, progress),
      probe: () => route.probe([], new AbortController().signal),
    }
  }

  /** The closure of some paths. */
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

  /** How many store paths each `nix copy` was given since the last call. */
  copies(): number[] {
    const lines = existsSync(this.#copies) ? readFileSync(this.#copies, 'utf8').split('\n') : []
    const counts = lines.filter(Boolean).map(Number)
    return counts.slice(this.#counted).map((count) => {
      this.#counted++
      return count
    })
  }
  #counted = 0

  /** What lies in the stage: the files in it. */
  staged(): string[] {
    if (!existsSync(this.stageDirectory)) return []
    return readdirSync(this.stageDirectory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
  }

  /** Puts a program before Nix that counts its copies. */
  async countCopies(): Promise<void> {
    const shim = join(this.nix.dir, 'shim')
    await mkdir(shim, { recursive: true })
    const script = `#!/bin/sh
case " $* " in *" copy "*)
  count=0
  for word; do case $word in "$NIX_STORE_DIR"/*) count=$((count + 1)) ;; esac; done
  echo "$count" >> '${this.#copies}' ;;
esac
exec '${join(this.nix.version.bin, 'nix')}' "$@"
`
    await writeFile(join(shim, 'nix'), script)
    await chmod(join(shim, 'nix'), 0o755)
  }
}

export const narinfoOf = (path: string) => `${basename(path).slice(0, 32)}.narinfo`

/** Everything for a test, taken down at its end; until then this process has that Nix's environment. */
export async function makeBed(version: NixVersion): Promise<StagedBed> {
  const [nix, cache] = await Promise.all([makePrivateNix(version, { name: 'staged' }), startMoodyCache()])
  const before = { ...process.env }
  Object.assign(process.env, nix.env, { PATH: `${join(nix.dir, 'shim')}:${nix.env.PATH}` })
  onTestFinished(async () => {
    for (const name of Object.keys(nix.env)) delete process.env[name]
    Object.assign(process.env, before)
    await cache.cleanup()
    await nix.cleanup()
  })
  const bed = new StagedBed(nix, cache)
  await bed.countCopies()
  return bed
}

/** Another cache. */
export async function anotherCache(): Promise<MoodyCache> {
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  return cache
}
