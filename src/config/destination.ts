import { resolve } from 'node:path'
import { EXIT, UserError } from '../util/user-error.ts'
import { DESTINATION_DEFAULTS, type Destination } from './config.ts'
import type { DestinationSection } from './schema.ts'
import { checkCompression } from './store-parameters.ts'
import { isBinaryCache, isNetworkCache, schemeOf } from './store-url.ts'
import { defaultVia } from './via.ts'

const ONLY_OUTPUTS = 'a "command" gets only the store paths of jobs'

/** A destination with a URL and defaults: `--to`, or the built-in default. */
export function simpleDestination(to: string, secretKeyFile: string | undefined): Destination {
  const key = secretKeyFile === undefined ? {} : { secretKeyFile: resolve(secretKeyFile) }
  checkUrl(to, (problem) => `--to: ${problem}`)
  return { name: 'default', to, via: defaultVia(to), ...key, ...DESTINATION_DEFAULTS }
}

/**
 * The destination that a section of a config file describes.
 * @throws {UserError} if settings contradict each other.
 */
export function destinationOf(section: DestinationSection, index: number, path: string): Destination {
  const { command, to } = section
  if ((command === undefined) === (to === undefined)) {
    const problem = `destination[${index}]: expected either "to" or "command", got ${to === undefined ? 'neither' : 'both'}`
    throw new UserError(`${path}: ${problem}`, EXIT.badConfig)
  }
  const destination: Destination = {
    name: section.name ?? 'default',
    to: to ?? command?.join(' ') ?? '',
    batchSize: section['batch-size'],
    concurrency: section.concurrency,
    maxAttempts: section['max-attempts'],
    retryMinMs: section['retry-min'],
    retryMaxMs: section['retry-max'],
    progressTimeoutMs: section['progress-timeout'],
    include: section.include,
    exclude: section.exclude,
    closure: section.closure,
    derivations: section.derivations,
    logs: section.logs,
    verify: section.verify,
    via: section.via === 'nix' ? 'nix' : defaultVia(to ?? ''),
    skipUpstream: section['skip-upstream'],
    presenceAgeMs: section['presence-age'],
  }
  if (command) destination.command = { argv: command, paths: section.paths ?? 'arguments' }
  if (section['secret-key-file'] !== undefined) destination.secretKeyFile = section['secret-key-file']
  if (section['netrc-file'] !== undefined) destination.netrcFile = section['netrc-file']
  if (section['max-size'] !== undefined) destination.maxSize = section['max-size']
  if (section['max-rate'] !== undefined) destination.maxRate = section['max-rate']
  refuseMeaningless(destination, section, index, path)
  if (destination.via === 'writer')
    checkUrl(destination.to, (problem) => `${path}: destination[${index}].to: ${problem}`)
  return destination
}

/** A mistake in a URL is reported at once, not at the first upload. */
function checkUrl(to: string, where: (problem: string) => string): void {
  try {
    checkCompression(to)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw new UserError(where(error.message), EXIT.badConfig)
  }
}

/** Keys that have no effect. Older versions said nothing of them, so they are no mistakes. */
export function withoutEffect({ to, command, netrcFile, closure, derivations, logs }: Destination): string[] {
  const isHttp = !command && /^https?$/.test(schemeOf(to))
  const unused: [boolean, string][] = [
    [netrcFile !== undefined && !isHttp, '"netrc-file" has no effect: it is for http:// and https://'],
    [command !== undefined && !closure, `"closure = false" has no effect: ${ONLY_OUTPUTS}`],
    [command !== undefined && derivations, `"derivations" has no effect: ${ONLY_OUTPUTS}`],
    [command !== undefined && logs, `"logs" has no effect: ${ONLY_OUTPUTS}`],
  ]
  return unused.flatMap(([isUnused, warning]) => (isUnused ? [warning] : []))
}

/** A setting that could never take effect is a mistake, and is reported. */
function refuseMeaningless(
  destination: Destination,
  section: DestinationSection,
  index: number,
  path: string,
): void {
  const problems: [boolean, string][] = [
    [section.paths !== undefined && !destination.command, '"paths" goes with "command"'],
    [
      destination.command !== undefined && destination.secretKeyFile !== undefined,
      'a "command" signs by itself: no "secret-key-file"',
    ],
    [
      destination.command !== undefined && destination.verify,
      '"verify" can\'t read back what a "command" uploaded',
    ],
    [
      destination.logs && schemeOf(destination.to) === 'ssh',
      '"logs" works over ssh-ng://, but not over ssh://',
    ],
    [
      !destination.closure && !destination.command && isBinaryCache(destination.to),
      '"closure = false" is refused by binary caches, which must hold every dependency',
    ],
  ]
  const isWritten = destination.via === 'writer'
  problems.push(
    [destination.command !== undefined && section.via !== undefined, '"via" goes with "to"'],
    [
      !isWritten && destination.skipUpstream.length > 0,
      '"skip-upstream" is for binary caches that are not written with "via = "nix""',
    ],
    [
      destination.maxRate !== undefined && !(isWritten && isNetworkCache(destination.to)),
      '"max-rate" is for http://, https:// and s3:// without "via = "nix""',
    ],
  )
  const found = problems.find(([isWrong]) => isWrong)
  if (found) throw new UserError(`${path}: destination[${index}]: ${found[1]}`, EXIT.badConfig)
}
