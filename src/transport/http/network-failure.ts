import { codeOf, wordsOf } from '../../util/user-error.ts'
import { type Meaning, TransportFailure } from '../transport-failure.ts'

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
    /^CERT_HAS_EXPIRED$/,
    {
      means:
        'the certificate of the destination has expired: renew it there, and reload that server; if it was renewed, check the clock of this machine',
    },
  ],
  [
    /^CERT_NOT_YET_VALID$/,
    {
      means:
        'the certificate of the destination is not valid yet: check the clock of this machine, and the dates in the certificate',
    },
  ],
  [
    /^(?:ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)$/,
    {
      means:
        'the certificate of the destination is for another host: use a name that it is for in the URL, or have this name added to it',
    },
  ],
  [
    /^(?:CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|UNABLE_TO_)/,
    {
      means:
        'the certificate of the destination is not trusted: add the certificate of its CA to those that this machine trusts (ssl-cert-file in nix.conf), or let the server send its whole chain',
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
    /^alert certificate required$/,
    {
      means:
        'the destination asks for a client certificate: name it in the URL (tls-certificate and tls-private-key; Nix then writes the cache)',
    },
  ],
  [
    /^alert (?:handshake failure|protocol version|insufficient security)$/,
    {
      means:
        'the destination and this machine have no version of TLS in common that both permit, or it asks for a client certificate (tls-certificate in the URL): see the TLS settings and the log of that server',
    },
  ],
  [
    /^(?:EPROTO|ERR_SSL_\w+|HPE_\w+|alert .*)$/,
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
  const text = wordsOf(first)
  // TLS says in the text why the other end refuses; the code may be EPROTO for all of that.
  const code = codeOf(first) ?? codeOf(error) ?? ''
  const reason = /\balert [a-z ]+/.exec(text)?.[0] ?? code
  const found = MEANINGS.find(([pattern]) => pattern.test(reason))
  if (!found) return undefined
  return new TransportFailure(found[1], `${what} failed: ${plain(text)} (${code})`)
}

/** Without Node's advice about Node, and without the places in OpenSSL's source. */
function plain(text: string): string {
  return text
    .replace(/; if the root CA .*/, '')
    .replace(/[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*/s, '$1')
}
