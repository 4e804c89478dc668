import { NIX_COMMAND, type RemoteStore, runRemote } from './copy.ts'
import { NixFailure, unlessFailed } from './failure.ts'
import { messagesOf } from './messages.ts'

/** `nix store verify` exits with the sum of 1 (corrupt), 2 (untrusted) and 4 (failed); 1 alone is any error. */
const UNTRUSTED = 2

/**
 * Reads another store back, without anything that Nix remembers of it: is the whole closure there, and trusted?
 * @param publicKey The key that every path must be signed with; undefined to look for presence only.
 * @returns The paths that are there but not signed with the key. Content-addressed ones need no signature.
 * @throws {NixFailure} where a path is missing, or the store can't be asked.
 */
export async function untrustedAt(
  store: RemoteStore,
  paths: readonly string[],
  publicKey: string | undefined,
  closure: boolean,
  signal: AbortSignal,
): Promise<string[]> {
  const trust = publicKey === undefined ? ['--no-trust'] : ['--option', 'trusted-public-keys', publicKey]
  const recursive = closure ? ['--recursive'] : []
  const args = [
    ...NIX_COMMAND,
    'store',
    'verify',
    '--store',
    store.to,
    '--no-contents',
    ...trust,
    ...recursive,
    ...paths,
  ]
  const untrusted: string[] = []
  const result = await runRemote('nix', store, args, signal, (line) => {
    const [, path] = /path '([^']+)' is untrusted/.exec(messagesOf([line])[0] ?? '') ?? []
    if (path !== undefined) untrusted.push(path)
  })
  if (result.exitCode === 0) return []
  if (result.exitCode === UNTRUSTED && untrusted.length > 0) return untrusted
  throw new NixFailure(messagesOf(result.lines), result.ended)
}

/**
 * Signs paths where they are: `nix copy` leaves alone what is there, and so the narinfo that somebody once put there
 * without a signature.
 */
export async function signAt(
  store: RemoteStore,
  secretKeyFile: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const args = [...NIX_COMMAND, 'store', 'sign', '--store', store.to, '--key-file', secretKeyFile, ...paths]
  unlessFailed(await runRemote('nix', store, args, signal))
}
