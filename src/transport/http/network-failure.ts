import { codeOf, wordsOf } from '../../util/user-error.ts'
import { type Meaning, TransportFailure } from '../transport-failure.ts'

const TLS_TRUST =
  /^(?:CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|UNABLE_TO_|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)/

const MEANINGS: readonly (readonly [RegExp, Meaning])[] = [
  [
    /^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH)$/,
    {
      means:
        'the destination does not accept connections: check that it is up, its address and port (endpoint of an S3 URL), and the firewall',
    },
  ],
  [
    /^(?:ENOTFOUND|EAI_AGAIN|EAI_\w+)$/,
    {
      means:
        "the host name of the destination (or of the proxy) can't be resolved: check its spelling, the region and the endpoint of an S3 URL, the network and DNS",
    },
  ],
  [
    /^(?:EMFILE|ENFILE|ENOBUFS|EADDRNOTAVAIL)$/,
    {
      retry: 'slower',
      means:
        'this machine has no file handles or ports left for more connections: raise their limit (ulimit -n, LimitNOFILE=) if it stays so',
    },
  ],
  [
    TLS_TRUST,
    {
      means:
        'the certificate of the destination is not trusted: check its dates and name, the clock, and the CA certificates here (ssl-cert-file in nix.conf)',
    },
  ],
  [
    /^ERR_PROXY_\w+$/,
    {
      means:
        'the proxy on the way refuses to connect us: check http_proxy, https_proxy and all_proxy, the login in it, and no_proxy',
    },
  ],
  [
    /^(?:EPROTO|ERR_SSL_\w+|HPE_\w+)$/,
    {
      means:
        'what answers there does not speak the protocol asked for: is it http:// rather than https:// (scheme=http for S3), or the wrong port?',
    },
  ],
  [
    /^EMSGSIZE$/,
    {
      isOfOneFile: true,
      isTrouble: true,
      means:
        'the answer is far too large to be what was asked for: see what the destination has there, and remove it',
    },
  ],
  [
    /^(?:ECONNRESET|EPIPE|ECONNABORTED|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP2_\w+)$/,
    {
      retry: 'at once',
      means:
        'the connection broke off in the midst of it: check the network, and the log at the other end if it stays so',
    },
  ],
  [
    /^(?:ETIMEDOUT|ESOCKETTIMEDOUT|TimeoutError)$/,
    { retry: 'soon', means: 'the destination does not answer in time: check the network and the load there' },
  ],
]

/**
 * The meaning of a request without an answer.
 * @param what The request, in few words, with the host: `PUT nar/x to http://cache`.
 * @returns undefined if it is not the network's fault.
 */
export function networkFailure(error: unknown, what: string): TransportFailure | undefined {
  // If a host has several addresses, each has its own error.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  const code = codeOf(first) ?? codeOf(error) ?? ''
  const found = MEANINGS.find(([pattern]) => pattern.test(code))
  if (!found) return undefined
  // Node's own advice is about Node.
  const said = wordsOf(first).replace(/; if the root CA .*/, '')
  return new TransportFailure(found[1], `${what} failed: ${said} (${code})`)
}
