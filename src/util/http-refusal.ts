/** What an HTTP status other than success means. */
export interface Refusal {
  blame?: 'job'
  permanent?: true
  isOfOneFile?: true
  isTrouble?: true
  /** What is wrong, and what to check or to do. */
  means: string
}

const ONE = { isOfOneFile: true } as const

const NO_UPLOADS: Refusal = {
  means:
    'the server does not take uploads in this way: it must allow HEAD and PUT (dav_methods PUT in nginx)',
}

const REFUSALS: Readonly<Record<number, Refusal>> = {
  401: {
    means:
      'the destination does not know us: check the login, in netrc-file, where the machine is the host name without the port',
  },
  403: {
    ...ONE,
    means:
      'the destination does not let us write: check the login (netrc-file, or the AWS keys) and its rights there',
  },
  404: {
    means: 'the server has no such place for uploads: check the path in the URL of this destination',
  },
  405: NO_UPLOADS,
  407: { means: 'a proxy on the way requires a login: check http_proxy and https_proxy' },
  408: { means: 'the destination timed out while it waited for data: check the network' },
  409: {
    ...ONE,
    means:
      'the destination refuses the upload as a conflict: some servers need the directory of the file to exist, or need to be told that files may be overwritten',
  },
  411: NO_UPLOADS,
  413: {
    ...ONE,
    blame: 'job',
    permanent: true,
    means:
      'the destination refuses a file of this size: raise its limit (client_max_body_size of nginx) and requeue the job, or exclude such paths',
  },
  429: {
    means: 'the destination asks for fewer requests: if this goes on, raise its limit',
  },
  501: NO_UPLOADS,
  503: { means: 'the destination is overloaded or down for maintenance: read the log of that server' },
  507: { ...ONE, isTrouble: true, means: 'the disk of the destination is full: make room there' },
}

/**
 * Says what a server's refusal means, for all kinds of requests.
 * @param status The HTTP status.
 * @returns undefined if the status alone doesn't say it, as with 400.
 */
export function refusalOf(status: number): Refusal | undefined {
  const known = REFUSALS[status]
  if (known) return known
  if (status >= 500) {
    const means =
      'the destination has an internal problem (its disk may be full, or create_full_put_path is missing in nginx): read the log of that server'
    return { ...ONE, isTrouble: true, means }
  }
  if (status < 300 || status >= 400) return undefined
  return { means: 'too many redirects, or an unusable one: set the final URL as this destination' }
}
