import { missingAt, NIX_COMMAND, type RemoteStore, runRemote } from './copy.ts'
import { NixFailure, unlessFailed } from './failure.ts'
import { ERROR, messagesOf } from './messages.ts'
import { plain, storePathIn } from './said.ts'

/** `nix store verify` exits with the sum of 1 (corrupt), 2 (untrusted) and 4 (failed); 1 alone is any error. */
const UNTRUSTED = 2

/**
 * Reads another store back, ignoring what Nix remembers about it: is the whole closure there, and trusted?
 * @param publicKey The key that every path must be signed with; undefined to look for presence only.
 * @returns The paths that are there but not signed with the key. Content-addressed ones need no signature.
 * @throws {NixFailure} if a path is missing, or the store can't be asked.
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
  // If the exit code says that only trust is lacking, each error is about an untrusted path.
  const untrusted: string[] = []
  const result = await runRemote('nix', store, args, signal, (line) => {
    untrusted.push(...messagesOf([line], ERROR).flatMap((message) => namedIn(message) ?? []))
  })
  if (result.exitCode === 0) return []
  if (result.exitCode === UNTRUSTED && untrusted.length > 0) return untrusted
  const said = messagesOf(result.lines)
  // For `local?root=`, Lix names missing paths by their place on the disk.
  const [gone] = result.ended ? [] : await missingAt(store, paths, signal)
  throw new NixFailure(gone === undefined ? said : [`path '${gone}' is not valid`, ...said], result.ended)
}

/** The store path that a message is about. */
function namedIn(message: string): string | undefined {
  return storePathIn(/\/.*/.exec(plain(message))?.[0])
}

/**
 * Signs paths at the destination: `nix copy` skips paths that are there, so a narinfo that was once uploaded without a signature
 * would stay unsigned.
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
