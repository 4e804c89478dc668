import type { Destination } from '../config/config.ts'
import { proxyProblem } from '../config/proxy.ts'
import { schemeOf } from '../config/store-url.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import { baseOf } from './http/http-url.ts'
import { objectUrl, parseS3Url } from './s3/s3-url.ts'

/**
 * Some proxies only Nix can use; that is better said at the start.
 * @throws {UserError} where the environment names one for a destination that nix-upload writes itself.
 */
export function refuseProxies(destinations: readonly Destination[], env = process.env): void {
  for (const { name, to, via, command } of destinations) {
    if (command || via !== 'writer' || schemeOf(to) === 'file') continue
    const address = addressOf(to)
    const problem = address && proxyProblem(address, env)
    if (problem !== undefined) throw new UserError(`destination "${name}": ${problem}`, EXIT.badConfig)
  }
}

/** A URL that makes no sense is a failure of that destination alone, to be seen when it is used. */
function addressOf(to: string): URL | undefined {
  try {
    return schemeOf(to) === 's3' ? objectUrl(parseS3Url(to), '') : baseOf(to)
  } catch {
    return undefined
  }
}
