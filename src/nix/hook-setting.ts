import { run } from '../util/run-program.ts'
import { NIX_COMMAND } from './copy.ts'
import { unlessFailed } from './failure.ts'

const QUERY_TIMEOUT_MS = 60_000

/** 2.8.0 says it among its debugging messages only, 2.26.3 and 2.34.8 as a warning; all in these words. */
const IGNORED = /ignoring the client-specified setting 'post-build-hook'/

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
  let isIgnored = false
  const result = await run('nix', [...NIX_COMMAND, '-vvvvv', 'store', 'ping'], {
    env: { NIX_CONFIG: nixConfig },
    silenceMs: QUERY_TIMEOUT_MS,
    onLine: (line) => {
      if (IGNORED.test(line)) isIgnored = true
    },
  })
  // Of a failure the last line says why; before it is what we asked to hear for the sake of 2.8.0.
  unlessFailed({ ...result, lines: result.lines.slice(-1) })
  return isIgnored
}
