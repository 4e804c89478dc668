import type { Logger } from 'pino'
import { CacheWriter } from '../cache/cache-writer.ts'
import type { Packer } from '../cache/nar/packer.ts'
import { sendRealisations } from '../cache/realisation-upload.ts'
import { Upstream } from '../cache/upstream.ts'
import type { Destination } from '../config/config.ts'
import { networkSettings } from '../nix/network-settings.ts'
import type { StoreSession } from '../nix/store-session.ts'
import { createTransport } from '../transport/create-transport.ts'
import type { Rates } from '../transport/rates.ts'
import { commandUploader } from './command-uploader.ts'
import { nixUploader } from './nix-uploader.ts'
import type { Uploader } from './uploader.ts'

/** What the destinations of a configuration share. */
export interface Shared {
  store: StoreSession
  packer: Packer
  rates: Rates
  log: Logger
}

/** Chooses the way to a destination. A new kind of destination is added here, see CONTRIBUTING.md. */
export function uploaderFor(destination: Destination, shared: Shared): Uploader {
  if (destination.command) return commandUploader(destination.command, destination)
  return destination.via === 'writer' ? cacheUploader(destination, shared) : nixUploader(destination, shared)
}

/** Binary caches are written by us. */
function cacheUploader(destination: Destination, { store, packer, rates, log }: Shared): Uploader {
  const { to, name, netrcFile, progressTimeoutMs, presenceAgeMs, skipUpstream } = destination
  const onWarning = (message: string, path?: string) => log.warn(path === undefined ? {} : { path }, message)
  const isUrl = (upstream: string) => upstream.includes('://')
  const caches = skipUpstream
    .filter(isUrl)
    .map((url) => [url, createTransport({ to: url, network: networkSettings, progressTimeoutMs })] as const)
  const keyNames = skipUpstream.filter((upstream) => !isUrl(upstream))
  const transport = createTransport({
    to,
    netrcFile,
    network: networkSettings,
    progressTimeoutMs,
    limits: rates.for(name),
    onWarning,
  })
  const writer = new CacheWriter(destination, {
    store,
    packer,
    transport,
    upstream: new Upstream(keyNames, new Map(caches), presenceAgeMs, onWarning),
    onWarning,
  })
  return {
    countsBytes: true,
    send: (...args) => writer.send(...args),
    sendRealisations: (outputs, signal, progress) =>
      sendRealisations(outputs, { store, transport, destination, progress, onWarning }, signal),
    probe: (_paths, signal) => writer.probe(signal),
    close: () => {
      writer.close()
      for (const [, cache] of caches) cache.close()
    },
  }
}
