import { run } from '../util/run-program.ts'
import { NIX_COMMAND } from './copy.ts'
import { unlessFailed } from './failure.ts'
import { DEBUG, messagesOf } from './messages.ts'
import { findSaying, IGNORES_HOOK } from './said.ts'
import { storeInfo } from './store-info.ts'

const QUERY_TIMEOUT_MS = 60_000

/**
 * A value of NIX_CONFIG that sets the hook after the existing lines: of two lines the last one counts.
 * @param hook An absolute path without blanks or `#`.
 */
export function withHook(hook: string, before: string | undefined): string {
  return `${before ? `${before}\n` : ''}post-build-hook = ${hook}`
}

/**
 * Asks whether a build of ours would run the hook that NIX_CONFIG names. nix-daemon accepts a hook only from trusted users.
 * nix-daemon itself answers: `trusted-users` may hold groups, and only nix-daemon reads it.
 * @throws {NixFailure} if the store can't be asked.
 */
export async function ignoresHook(nixConfig: string): Promise<boolean> {
  const { isTrusted } = await storeInfo({ NIX_CONFIG: nixConfig })
  return isTrusted === undefined ? await saysThatItIgnores(nixConfig) : !isTrusted
}

/** What an older Nix (2.8) prints at the highest verbosity. */
async function saysThatItIgnores(nixConfig: string): Promise<boolean> {
  let isIgnored = false
  const result = await run('nix', [...NIX_COMMAND, '-vvvvv', 'store', 'ping'], {
    env: { NIX_CONFIG: nixConfig },
    silenceMs: QUERY_TIMEOUT_MS,
    onLine: (line) => {
      if (messagesOf([line], DEBUG).some(isSaid)) isIgnored = true
    },
  })
  // In a failure, the last line gives the reason; the lines before it are the verbose output that we asked for.
  unlessFailed({ ...result, lines: result.lines.slice(-1) })
  return isIgnored
}

function isSaid(message: string): boolean {
  return findSaying(IGNORES_HOOK, message) !== undefined
}
