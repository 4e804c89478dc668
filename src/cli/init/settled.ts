import { dirname } from 'node:path'
import type { Config } from '../../config/config.ts'
import { fileOf, schemeOf } from '../../config/store-url.ts'
import type { ServiceProgram } from './service-program.ts'
import type { Site } from './step.ts'

/** Everything that init has to know, settled by flags, by answers, or by what is there already. */
export interface Settled extends Site {
  to: string
  /** What the destination is called. */
  name: string
  key: { name: string; secretKeyFile: string; publicKeyFile: string } | undefined
  /** Also true of a key that only the service gets to see. */
  isSigned: boolean
  configFile: string
  /** See `writtenTo`. */
  directories: { caches: string[]; metrics: string[] }
  spool: string
  gcroots: string
  /** What a service starts. */
  program: ServiceProgram
  /** Whom the daemon runs as. */
  user: string
  install: boolean
  isNixOs: boolean
  /** Its configuration has services.nix-upload, so all of it is there. */
  isModuleOn: boolean
  hasSystemd: boolean
}

/** The directories of this machine that a configuration has uploads and metrics written to, beside spool and GC roots. */
export function writtenTo({ destinations, metricsFile }: Config): { caches: string[]; metrics: string[] } {
  const caches = destinations.flatMap(({ to, command }) => (command ? [] : (localDirectory(to) ?? [])))
  return { caches: [...new Set(caches)], metrics: metricsFile === undefined ? [] : [dirname(metricsFile)] }
}

/** The directory of a cache that lies on this machine; undefined for any other. */
export function localDirectory(to: string): string | undefined {
  return schemeOf(to) === 'file' ? fileOf(to) : undefined
}
