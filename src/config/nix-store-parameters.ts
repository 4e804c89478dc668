import { own } from '../util/own.ts'
import { nearest } from '../util/spelling.ts'
import { parametersOf } from './store-parameters.ts'
import { schemeOf } from './store-url.ts'

/** Parameters of all Nix stores (nix help-stores, of Nix 2.35 and Lix 2.95). */
const OF_ALL = ['path-info-cache-size', 'priority', 'store', 'system-features', 'trusted', 'want-mass-query']
const OF_SSH = [
  'base64-ssh-public-host-key',
  'compress',
  'max-connections',
  'port',
  'remote-program',
  'remote-store',
  'ssh-key',
]
const ON_THIS_MACHINE = ['log', 'real', 'root', 'state']

/** By the scheme of the URL. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  ssh: [...OF_ALL, ...OF_SSH, 'log-fd'],
  'ssh-ng': [...OF_ALL, ...OF_SSH, 'max-connection-age'],
  unix: [...OF_ALL, ...ON_THIS_MACHINE, 'max-connection-age', 'max-connections', 'protocol'],
  local: [
    ...OF_ALL,
    ...ON_THIS_MACHINE,
    'build-dir',
    'ignore-gc-delete-failure',
    'read-only',
    'require-sigs',
    'use-roots-daemon',
  ],
}

/**
 * Nix ignores unknown parameters. One that looks misspelt is worth a warning; another may belong to a newer Nix.
 * @returns undefined if all are known, or the store is a binary cache, whose parameters are checked elsewhere.
 */
export function misspeltParameter(url: string): string | undefined {
  const scheme = schemeOf(url)
  const known = own(PARAMETERS, scheme) ?? []
  for (const name of parametersOf(url).keys()) {
    const near = known.includes(name) ? undefined : nearest(name, known)
    if (near !== undefined)
      return `Nix will ignore the parameter "${name}" in the URL of a store at ${scheme}; did you mean "${near}"?`
  }
  return undefined
}
