import { join } from 'node:path'
import { EXIT, UserError } from '../util/user-error.ts'
import type { Destination } from './config.ts'

const CREDENTIAL = /^credential:([A-Za-z0-9_-][A-Za-z0-9._-]*)$/

/** True for `credential:NAME`, a file that systemd gives to the service with LoadCredential=. */
export function isCredential(value: string): boolean {
  return CREDENTIAL.test(value)
}

/** The destination with the paths of its credentials. Outside of a service, it stays as it was. */
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
 * Any process may load a configuration that names credentials, but delivering needs them.
 * @throws {UserError} if one is named and this process gets none.
 */
export function refuseMissingCredentials(destinations: readonly Destination[]): void {
  for (const { name, secretKeyFile, netrcFile } of destinations) {
    const missing = [secretKeyFile, netrcFile].find((value) => value !== undefined && isCredential(value))
    if (missing === undefined) continue
    throw new UserError(
      `destination "${name}": "${missing}" is a credential: only a systemd service gets it (LoadCredential=), and this ` +
        `process is not one (CREDENTIALS_DIRECTORY is not set). Name a file that this process can read`,
      EXIT.badConfig,
    )
  }
}
