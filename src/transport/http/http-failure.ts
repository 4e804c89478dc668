import { refusalOf } from '../../util/http-refusal.ts'
import { type Meaning, type Retry, TransportFailure } from '../transport-failure.ts'
import type { Answer } from './answer.ts'
import { shownUrl } from './http-url.ts'

/** Whether a refused request is made again; see `Retry`. */
const RETRIES: Readonly<Record<number, Retry>> = { 408: 'soon', 429: 'slower', 503: 'slower', 507: 'never' }

/**
 * What a server's refusal means.
 * @param what The request, in few words: `PUT nar/x`.
 */
export function httpFailure({ status, headers, body }: Answer, what: string): TransportFailure {
  const said = `the server says to ${what}: ${status}${inWords(body)}${whereTo(headers.location)}`
  return new TransportFailure(meaningOf(status), said, {
    retryAfterMs: retryAfterMs(headers['retry-after']),
    status,
  })
}

/** Where a redirection leads, without a login or a signature in it. */
function whereTo(location: string | undefined): string {
  if (location === undefined) return ''
  return `, and to go to ${URL.canParse(location) ? shownUrl(new URL(location)) : location.replace(/[?#].*/s, '')}`
}

function meaningOf(status: number): Meaning {
  const refusal = refusalOf(status) ?? { isOfOneFile: true, means: 'the destination refuses the upload' }
  return { ...refusal, retry: RETRIES[status] ?? (status >= 500 && status !== 501 ? 'soon' : 'never') }
}

/**
 * Reads a Retry-After header, seconds or a date.
 * @returns Milliseconds from now; undefined if there is none.
 */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

/** The text beside a status is often a whole page of HTML. */
function inWords(body: Buffer): string {
  const text = body.subarray(0, 4096).toString('utf8')
  const [, title] = /<title>([^<]*)</i.exec(text) ?? []
  const words = (title ?? text)
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return words === '' ? '' : ` (${words.slice(0, 120)})`
}
