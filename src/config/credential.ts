import { join } from 'node:path'
import { EXIT, UserError } from '../util/user-error.ts'
import type { Destination } from './config.ts'

const CREDENTIAL = /^credential:([A-Za-z0-9_-][A-Za-z0-9._-]*)$/

/** True for `credential:NAME`, which stands for a file that systemd's LoadCredential= hands to the service. */
export function isCredential(value: string): boolean {
  return CREDENTIAL.test(value)
}

/** The destination with the files that its credentials are; outside of a service, which has none, as it was. */
export function withCredentials(destination: Destination, directory: string | undefined): Destination {
  if (!directory) return destination
  const { secretKeyFile, netrcFile } = destination
  return {
    ...destination,
    ...(secretKeyFile === undefined ? {} : { secretKeyFile: fileOf(secretKeyFile, directory) }),
    ...(netrcFile === undefined ? {} : { netrcFile: fileOf(netrcFile, directory) }),
  }
}

function fileOf(value: string, directory: string): string {
  const [, name] = CREDENTIAL.exec(value) ?? []
  return name === undefined ? value : join(directory, name)
}

/**
 * Anybody may load a configuration that names credentials; who delivers has to have them.
 * @throws {UserError} where one is named and there are none.
 */
export function refuseMissingCredentials(destinations: readonly Destination[]): void {
  for (const { name, secretKeyFile, netrcFile } of destinations) {
    const missing = [secretKeyFile, netrcFile].find((value) => value !== undefined && isCredential(value))
    if (missing === undefined) continue
    throw new UserError(
      `destination "${name}": "${missing}" is a credential, which only a service gets from systemd (LoadCredential=), and ` +
        `this process is none (CREDENTIALS_DIRECTORY is not set): name a file that it can read`,
      EXIT.badConfig,
    )
  }
}
