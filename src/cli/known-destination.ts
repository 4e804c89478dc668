import type { Config } from '../config/config.ts'
import { EXIT, UserError } from '../util/user-error.ts'

/**
 * Checks the name of a destination given on the command line; a typo must be an error.
 * @throws {UserError} if there is no such destination.
 */
export function knownDestination(config: Config, name: string | undefined): string | undefined {
  if (name === undefined || config.destinations.some((destination) => destination.name === name)) return name
  const known = config.destinations.map((destination) => destination.name).join(', ')
  throw new UserError(`there is no destination "${name}"; there is: ${known}`, EXIT.usage)
}
