import type { Destination } from '../config/config.ts'
import { schemeOf } from '../config/store-url.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import { parseS3Url } from './s3/s3-url.ts'

/**
 * A mistake in the parameters of an S3 URL is a failure of that destination only, reported when it is used; `check-config` reports
 * it before.
 * @throws {UserError} if there is one.
 */
export function refuseBadPlaces(destinations: readonly Destination[]): void {
  for (const { name, to, via, command } of destinations) {
    if (command || via !== 'writer' || schemeOf(to) !== 's3') continue
    try {
      parseS3Url(to)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      throw new UserError(`destination "${name}": ${error.message}`, EXIT.badConfig)
    }
  }
}
