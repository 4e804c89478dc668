import { withoutPassword } from '../config/store-url.ts'
import type { Refusal } from '../util/http-refusal.ts'
import type { Verdict } from '../util/verdict.ts'
import { RULES, type Rule } from './blame-rules.ts'
import type { NixFailure } from './failure.ts'
import { findSaying, plain, storePathIn } from './said.ts'

/** Nix and ssh print these beside an error, and some contain the words that rules look for. */
const NOISE = [
  // "stalled-download-timeout … restricted setting", "you don't have Internet access" and the like; not its retries.
  /^warning: (?!.*retrying in)/i,
  /^error \(ignored\)/,
  /^\(use '--show-trace'|^Try 'nix(?:-\w+)? --help'|^terminate called after/,
  /^@@@/,
]

const MAX_LENGTH = 500
/** A server's text beside its status is often a whole page of HTML. */
const MAX_BODY = 120

/** Tells whose fault a failed run of Nix was: our own findings count more than Nix's messages. */
export function verdictOf({ diagnosis, messages }: NixFailure): Verdict {
  if (diagnosis === undefined) return judge(messages)
  const { means, permanent = false, ...rest } = diagnosis
  return { ...rest, permanent, message: sentence(means, withoutNoise(messages).slice(-1)) }
}

/**
 * Tells from the messages alone whose fault a failed run of Nix was.
 * @param messages What Nix said, one line each.
 */
export function judge(messages: readonly string[]): Verdict {
  const said = withoutNoise(messages)
  for (const rule of RULES) {
    for (const message of said) {
      const match = findSaying(rule.says, message)
      const path = storePathIn(match?.[1])
      if (!match || (rule.ofStorePath && path === undefined)) continue
      const meaning = meaningOf(rule, match)
      if (!meaning) continue
      const { blame = 'destination', permanent = false, means } = meaning
      // The last message often names the subject of the first one.
      const quoted = [...new Set([message, ...said.slice(-1)])]
      const verdict: Verdict = { blame, permanent, message: sentence(means, quoted, match[0]) }
      return path === undefined ? verdict : { ...verdict, path }
    }
  }
  const path = storePathIn(said.map((message) => /['"](\/[^'"]+)['"]/.exec(message)?.[1]).find(storePathIn))
  const verdict: Verdict = {
    blame: 'unknown',
    permanent: false,
    message: unknown(said.length > 0 ? said : messages),
  }
  return path === undefined ? verdict : { ...verdict, path }
}

function withoutNoise(messages: readonly string[]): string[] {
  return messages.filter((message) => !NOISE.some((pattern) => pattern.test(message)))
}

function meaningOf({ means, blame, permanent }: Rule, match: RegExpExecArray): Refusal | undefined {
  if (typeof means !== 'string') return means(match)
  return { means, ...(blame && { blame }), ...(permanent && { permanent }) }
}

function unknown(messages: readonly string[]): string {
  if (messages.length > 0) return sentence('Nix failed', messages.slice(-3))
  return 'Nix ended without a word, as when it is killed for want of memory: look into the log of the kernel'
}

/** One line of limited length: the part of Nix's message around `important` stays. */
function sentence(means: string, messages: readonly string[], important = ''): string {
  if (messages.length === 0) return means
  const head = `${means}; Nix says: `
  const said = messages.map(readable).join('; ')
  const room = MAX_LENGTH - head.length
  if (said.length <= room) return head + said
  // The quotes before it put it a little further on.
  const at = plain(said).indexOf(important)
  if (at + important.length < room) return `${head}${said.slice(0, room - 1)}…`
  const start = said.slice(0, Math.floor(room / 4))
  return `${head}${start} … ${said.slice(at, at + room - start.length - 4)}…`
}

/** Without passwords, without what URLs carry behind `?`, and without markup. */
function readable(message: string): string {
  return withoutPassword(message)
    .replace(/^(?:… )?while uploading to HTTP binary cache at '[^']*':? error: /, '')
    .replaceAll(/\b(https?|s3):\/\/[^\s/'"]*@/g, '$1://…@')
    .replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/[^\s/'":@]*):[^\s/'"]*@/g, '$1:…@')
    .replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s'"?]*|\blocal)\?[^\s'"]*/g, '$1?…')
    .replace(/ response body: ?(.*)$/, (_, body: string) => shortBody(body))
}

function shortBody(body: string): string {
  const [, code] = /<Code>([^<]*)<\/Code>/.exec(body) ?? []
  const [, words] = /<(?:Message|title)>([^<]*)</.exec(body) ?? []
  const found = [code, words].filter((text) => text !== undefined).join(': ')
  const text = found || body.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ')
  const short = text.trim().slice(0, MAX_BODY)
  return short === '' ? '' : ` (${short})`
}
