import { type Meaning, TransportFailure } from '../transport-failure.ts'
import type { Answer } from './answer.ts'

const ONE = { isOfOneFile: true } as const

/** What a server's refusal means; 5xx that are not here mean trouble of its own. */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  401: {
    means:
      'the destination does not know us: check the login, in netrc-file, where the machine is the host name without the port',
  },
  403: {
    ...ONE,
    means: 'the destination does not let us write: check the login (netrc-file) and its rights there',
  },
  404: {
    means: 'the server knows no such place to upload to: check the path in the URL of this destination',
  },
  405: {
    means: 'the server does not take uploads in this way: it must allow PUT (dav_methods PUT in nginx)',
  },
  407: { means: 'a proxy on the way wants a login: check http_proxy and https_proxy of this service' },
  408: { retry: 'soon', means: 'the destination waited too long for us: check the network' },
  409: {
    ...ONE,
    means:
      'the destination refuses the upload as a conflict: make the directory of the file there, as some servers want it, or let files be overwritten',
  },
  411: {
    means: 'the server does not take uploads in this way: it must allow PUT (dav_methods PUT in nginx)',
  },
  413: {
    ...ONE,
    blame: 'job',
    permanent: true,
    means:
      'the destination refuses a file of this size: raise its limit (client_max_body_size of nginx) and requeue the job, or exclude such paths',
  },
  429: {
    retry: 'slower',
    means: 'the destination asks for fewer requests; nothing to do unless it stays so: then raise its limit',
  },
  501: {
    means: 'the server does not take uploads in this way: it must allow PUT (dav_methods PUT in nginx)',
  },
  503: {
    retry: 'slower',
    means: 'the destination is overloaded or down for maintenance: look into the log of that server',
  },
  507: { ...ONE, isTrouble: true, means: 'the disk of the destination is full: make room there' },
}

/**
 * What a server's answer means, other than a good one.
 * @param what What was asked, in few words: `PUT nar/x`.
 */
export function httpFailure({ status, headers, body }: Answer, what: string): TransportFailure {
  const said = `the server says to ${what}: ${status}${inWords(body)}`
  return new TransportFailure(meaningOf(status), said, {
    retryAfterMs: retryAfterMs(headers['retry-after']),
    status,
  })
}

function meaningOf(status: number): Meaning {
  const known = MEANINGS[status]
  if (known) return known
  if (status >= 500) {
    const means =
      'the destination has trouble of its own (its disk may be full, or create_full_put_path is missing in nginx): look into the log of that server'
    return { ...ONE, isTrouble: true, retry: 'soon', means }
  }
  if (status >= 400) return { ...ONE, means: 'the destination refuses the upload' }
  return { means: 'the server sends us elsewhere, and not to an end: give the final URL as this destination' }
}

/**
 * Reads a Retry-After header, seconds or a date.
 * @returns Milliseconds from now; undefined where there is none.
 */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

/** What a server says beyond its status is often a whole page of HTML. */
function inWords(body: Buffer): string {
  const text = body.subarray(0, 4096).toString('utf8')
  const [, title] = /<title>([^<]*)</i.exec(text) ?? []
  const words = (title ?? text)
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return words === '' ? '' : ` (${words.slice(0, 120)})`
}
