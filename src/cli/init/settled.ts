import { dirname } from 'node:path'
import type { Config } from '../../config/config.ts'
import { fileOf, schemeOf } from '../../config/store-url.ts'
import type { ServiceProgram } from './service-program.ts'
import type { Site } from './step.ts'

/** All that init has to know, from flags, answers, or existing files. */
export interface Settled extends Site {
  to: string
  /** The destination's name. */
  name: string
  key: { name: string; secretKeyFile: string; publicKeyFile: string } | undefined
  /** Also true if only the service can read the key. */
  isSigned: boolean
  configFile: string
  /** See `writtenTo`. */
  directories: { caches: string[]; metrics: string[] }
  spool: string
  gcroots: string
  /** The program that a service starts. */
  program: ServiceProgram
  /** The user of the daemon. */
  user: string
  install: boolean
  isNixOs: boolean
  /** The NixOS configuration has services.nix-upload, so all is set up. */
  isModuleOn: boolean
  hasSystemd: boolean
  /** systemd has a service of nix-upload, or will have it in a moment. */
  hasService: boolean
}

/** The local directories that uploads and metrics are written to, besides spool and GC roots. */
export function writtenTo({ destinations, metricsFile }: Config): { caches: string[]; metrics: string[] } {
  const caches = destinations.flatMap(({ to, command }) => (command ? [] : (localDirectory(to) ?? [])))
  return { caches: [...new Set(caches)], metrics: metricsFile === undefined ? [] : [dirname(metricsFile)] }
}

/** The directory of a cache on this machine; undefined for other destinations. */
export function localDirectory(to: string): string | undefined {
  return schemeOf(to) === 'file' ? fileOf(to) : undefined
}
