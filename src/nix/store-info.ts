import { isObject } from '../util/is-object.ts'
import { type RunOptions, run } from '../util/run-program.ts'
import { NIX_COMMAND, NIX_ENABLED } from './copy.ts'
import { NixFailure } from './failure.ts'
import { DEBUG, ERROR, messagesOf } from './messages.ts'

const QUERY_TIMEOUT_MS = 60_000

/** The store that our builds go through. */
export interface StoreInfo {
  /** `daemon`, `local`, or a URL. */
  url: string
  /** Whether it accepts restricted settings from us; undefined if this Nix doesn't say. */
  isTrusted: boolean | undefined
}

/** `info` from 2.19 on, `ping` before that and in Lix; no JSON up to 2.10. */
const QUESTIONS = [
  ['info', '--json'],
  ['ping', '--json'],
]

/**
 * Asks Nix which store it builds in, and whether that trusts us.
 * @throws {NixFailure} if the store can't be asked.
 */
export async function storeInfo(env: Readonly<Record<string, string>> = {}): Promise<StoreInfo> {
  const options: RunOptions = { env, silenceMs: QUERY_TIMEOUT_MS }
  for (const question of QUESTIONS) {
    const { exitCode, stdout, ended } = await run('nix', [...NIX_ENABLED, 'store', ...question], options)
    if (ended) throw new NixFailure([], ended)
    if (exitCode === 0) return infoOf(stdout)
  }
  const result = await run('nix', [...NIX_COMMAND, 'store', 'ping'], options)
  if (result.exitCode !== 0) throw new NixFailure(messagesOf(result.lines, ERROR), result.ended)
  // 2.8 prints it as a message.
  const [, url = ''] = /Store URL: (\S+)/.exec(messagesOf(result.lines, DEBUG).join('\n')) ?? []
  return { url, isTrusted: undefined }
}

function infoOf(stdout: string): StoreInfo {
  const info: unknown = JSON.parse(stdout)
  if (!isObject(info)) throw new NixFailure(['`nix store ping --json` printed something unknown'], undefined)
  const { url, trusted } = info
  // 2.26 has a number.
  const isTrusted = trusted === undefined || trusted === null ? undefined : Boolean(trusted)
  return { url: typeof url === 'string' ? url : '', isTrusted }
}
