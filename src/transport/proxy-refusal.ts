import type { Destination } from '../config/config.ts'
import { proxyProblem } from '../config/proxy.ts'
import { isNetworkCache, schemeOf } from '../config/store-url.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import { baseOf } from './http/http-url.ts'
import { objectUrl, parseS3Url } from './s3/s3-url.ts'

/**
 * Some proxies work only with Nix; that is better reported at the start.
 * @throws {UserError} if the environment names one for a destination that nix-upload writes itself.
 */
export function refuseProxies(destinations: readonly Destination[], env = process.env): void {
  for (const { name, to, via, command } of destinations) {
    if (command || via !== 'writer') continue
    const problem = proxyRefusal(to, env)
    if (problem !== undefined) throw new UserError(`destination "${name}": ${problem}`, EXIT.badConfig)
  }
}

/** Why nix-upload can't use the proxy of a binary cache; undefined if it can, or there is none. */
export function proxyRefusal(to: string, env = process.env): string | undefined {
  if (!isNetworkCache(to)) return undefined
  const address = addressOf(to)
  return address && proxyProblem(address, env)
}

/** An invalid URL is a failure of that destination only, reported when it is used. */
function addressOf(to: string): URL | undefined {
  try {
    return schemeOf(to) === 's3' ? objectUrl(parseS3Url(to), '') : baseOf(to)
  } catch {
    return undefined
  }
}
