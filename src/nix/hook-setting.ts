import { run } from '../util/run-program.ts'
import { NIX_COMMAND } from './copy.ts'
import { unlessFailed } from './failure.ts'
import { DEBUG, messagesOf } from './messages.ts'
import { findSaying, IGNORES_HOOK } from './said.ts'
import { storeInfo } from './store-info.ts'

const QUERY_TIMEOUT_MS = 60_000

/**
 * A value of NIX_CONFIG that sets the hook behind whatever is there already: of two lines the last one counts.
 * @param hook An absolute path without blanks or `#`.
 */
export function withHook(hook: string, before: string | undefined): string {
  return `${before ? `${before}\n` : ''}post-build-hook = ${hook}`
}

/**
 * Asks whether a build of ours would run the hook that NIX_CONFIG names. nix-daemon takes that from trusted users
 * only. This is its own answer, not a guess at `trusted-users`, which may hold groups and which only it reads.
 * @throws {NixFailure} where the store can't be asked.
 */
export async function ignoresHook(nixConfig: string): Promise<boolean> {
  const { isTrusted } = await storeInfo({ NIX_CONFIG: nixConfig })
  return isTrusted === undefined ? await saysThatItIgnores(nixConfig) : !isTrusted
}

/** What an older Nix (2.8) says when it is asked to say all. */
async function saysThatItIgnores(nixConfig: string): Promise<boolean> {
  let isIgnored = false
  const result = await run('nix', [...NIX_COMMAND, '-vvvvv', 'store', 'ping'], {
    env: { NIX_CONFIG: nixConfig },
    silenceMs: QUERY_TIMEOUT_MS,
    onLine: (line) => {
      if (messagesOf([line], DEBUG).some(isSaid)) isIgnored = true
    },
  })
  // Of a failure the last line says why; before it is what we asked to hear.
  unlessFailed({ ...result, lines: result.lines.slice(-1) })
  return isIgnored
}

function isSaid(message: string): boolean {
  return findSaying(IGNORES_HOOK, message) !== undefined
}
