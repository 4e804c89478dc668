import { parameterProblem } from './store-parameters.ts'
import { fileOf, schemeOf, storeUrlProblem } from './store-url.ts'

/**
 * Says what is wrong with a store URL that a person types now, in `--to` or in an answer to `init`.
 * @returns undefined if it can be used; otherwise what was expected.
 */
export function typedUrlProblem(url: string): string | undefined {
  return storeUrlProblem(url) ?? parameterProblem(url) ?? relativeFolder(url)
}

/**
 * A folder without its first slash: `file://srv/cache`. It would depend on the working directory, and no Nix takes such a URL. In a
 * configuration it is only worth a warning, since older ones may have it.
 * @returns undefined if the URL names another place.
 */
export function relativeFolder(url: string): string | undefined {
  if (schemeOf(url) !== 'file' || fileOf(url).startsWith('/')) return undefined
  const [, rest = ''] = url.split('file://')
  return `expected an absolute path, with three slashes: "file:///${rest}"`
}
