// What Nix said when it was made to fail in every way we know (test/delivery/blame/ does it again), and what it means.
// Recorded as `messagesOf` gives it, with the names of stores and servers made plain.

import { STATUS_CODES } from 'node:http'
import { describe, expect, test } from 'vitest'
import { judge } from '../../src/nix/blame.ts'
import type { Blame } from '../../src/util/verdict.ts'

const LIB = '/nix/store/ql3skgg9xkklhnyr3wb8zz8i6vymhasz-lib'
const APP = '/nix/store/ph0j155nfcqyh638y20ym2y8a4wy33y3-app'
const URL = 'http://cache:8080'
const NAR = `${URL}/nar/1idf1hhlg76m6l28xzfxqpsn0lxb100b3wp33ykgpk155gw9bj5r.nar.zst`

interface Case {
  /** What was done to make it fail. */
  when: string
  blame: Blame
  permanent?: true
  path?: string
  /** Words of the remedy. */
  remedy: RegExp
  /** What Nix said, by its version; `all` where they agree. */
  says: Partial<Record<'all' | '2.8.0' | '2.26.3' | '2.34.8' | '2.35.2' | 'Lix 2.95.3', string[]>>
}

/** How each version puts what curl and the server say of an upload, and of a download; Lix only where it is known. */
function put(old: string, middle = old, current = middle, lix?: string): Case['says'] {
  const before = `while uploading to HTTP binary cache at '${URL}': error: unable to upload '${NAR}': `
  return {
    '2.8.0': [before + old],
    '2.26.3': [before + middle],
    '2.34.8': [`unable to upload '${NAR}': ${current}`],
    '2.35.2': [`… ${before.replace("':", "'")}${current}`],
    ...(lix === undefined ? {} : { 'Lix 2.95.3': [before + lix] }),
  }
}

function get(old: string, middle = old, current = middle, lix?: string): Case['says'] {
  const before = `unable to download '${URL}/nix-cache-info': `
  return {
    '2.8.0': [before + old],
    '2.26.3': [before + middle],
    '2.34.8': [before + current],
    ...(lix === undefined ? {} : { 'Lix 2.95.3': [before + lix] }),
  }
}

/** How each version ends after ssh has said something. */
function ssh(...said: string[]): Case['says'] {
  return {
    '2.8.0': [...said, "cannot connect to 'cache'"],
    '2.26.3': [...said, "failed to start SSH connection to 'cache'"],
    '2.34.8': [...said, "failed to start SSH connection to 'cache'"],
  }
}

/** The same with ssh-ng. */
function sshNg(...said: string[]): Case['says'] {
  const lost = 'Nix daemon disconnected unexpectedly (maybe it crashed?)'
  return {
    '2.8.0': [
      ...said,
      "cannot open connection to remote store 'ssh-ng://cache': error: unexpected end-of-file",
    ],
    '2.26.3': [...said, `cannot open connection to remote store 'ssh-ng://': error: ${lost}`],
    '2.34.8': [...said, `cannot open connection to remote store 'ssh-ng://cache': error: ${lost}`],
  }
}

const JOB: Case[] = [
  {
    when: 'a dependency is not in a store, with --no-recursive',
    blame: 'job',
    path: LIB,
    remedy: /dependency that the destination lacks/,
    says: {
      all: [`path '${LIB}' is not valid`],
      'Lix 2.95.3': [`path '${LIB}' does not exist in the Lix database`],
    },
  },
  {
    when: 'a path is not in the store that is asked',
    blame: 'job',
    path: LIB,
    remedy: /garbage-collected here/,
    says: { 'Lix 2.95.3': [`path '${LIB}' does not exist in the store`] },
  },
  {
    when: 'a file of a valid path was changed, to local?root=',
    blame: 'job',
    permanent: true,
    path: LIB,
    remedy: /--verify-path/,
    says: {
      all: [
        `hash mismatch importing path '${LIB}'; specified: sha256:1alpki0mvkikgc4rsq0vmdlc9yf9dc1ppnxvaj27lb8an1sn1h4m got:       sha256:1lg599wksh2k6msai0vhkyphic6f0qa7wincjmpyzi5px09qrr8v`,
      ],
    },
  },
  {
    when: 'a file of a valid path was changed, to ssh://',
    blame: 'job',
    permanent: true,
    path: LIB,
    remedy: /--verify-path/,
    says: {
      all: [
        `hash mismatch importing path '${LIB}';`,
        'specified: sha256:1alpki0mvkikgc4rsq0vmdlc9yf9dc1ppnxvaj27lb8an1sn1h4m',
        'got:       sha256:1lg599wksh2k6msai0vhkyphic6f0qa7wincjmpyzi5px09qrr8v',
        'unexpected end-of-file',
      ],
      'Lix 2.95.3': [
        `hash mismatch importing path '${LIB}'; specified: sha256-fWmKQFZ7P4LeuxoOG1x50bbGLPnKHhBbY88/ebWZYQ8= got:       sha256-eq653100I88E6YtwgcliW/48bsd03YsH10Jf8qiN+V8=`,
        'async stream ended',
      ],
    },
  },
  {
    when: 'the user may not read the path',
    blame: 'job',
    permanent: true,
    path: LIB,
    remedy: /chmod/,
    says: {
      '2.8.0': [`opening file '${LIB}': Permission denied`],
      '2.34.8': [`opening file '${LIB}/bin/lib': Permission denied`],
    },
  },
  {
    when: 'the user may not read a directory of the path',
    blame: 'job',
    permanent: true,
    path: LIB,
    remedy: /chmod/,
    says: {
      '2.8.0': [`opening directory '${LIB}/share': Permission denied`],
      '2.26.3': [`reading directory /${LIB}/share: Permission denied`],
      '2.34.8': [`cannot read directory "${LIB}/share": Permission denied`],
    },
  },
  {
    when: 'the user may not enter a directory of the path',
    blame: 'job',
    permanent: true,
    path: LIB,
    remedy: /chmod/,
    says: {
      '2.26.3': [`getting status of '${LIB}/share/lib': Permission denied`],
      '2.34.8': [`getting status of "${LIB}/share/lib": Permission denied`],
    },
  },
  {
    when: 'there is a pipe in the path',
    blame: 'job',
    permanent: true,
    path: LIB,
    remedy: /remove it/,
    says: { '2.8.0': [`file '${LIB}/pipe' has an unsupported type`] },
  },
  {
    when: 'there is a pipe in the path',
    blame: 'job',
    permanent: true,
    remedy: /remove it/,
    says: { '2.34.8': [`file '/pipe' has an unsupported type`] },
  },
  {
    when: 'nginx limits the size of a file',
    blame: 'job',
    permanent: true,
    remedy: /client_max_body_size/,
    says: put(
      "HTTP error 413 ('Request Entity Too Large') response body: <html> <head><title>413 Request Entity Too Large</title></head> <body> <center><h1>413 Request Entity Too Large</h1></center> <hr><center>nginx/1.22.1</center> </body> </html>",
      'HTTP error 413 response body: <html> <head><title>413 Request Entity Too Large</title></head> <body> <center><h1>413 Request Entity Too Large</h1></center> <hr><center>nginx/1.22.1</center> </body> </html>',
    ),
  },
]

const SETTINGS: Case[] = [
  {
    when: 'the URL has an unknown scheme',
    blame: 'destination',
    remedy: /spelling/,
    says: {
      '2.8.0': ["don't know how to open Nix store 'gopher://x'"],
      '2.26.3': ["don't know how to open Nix store with scheme 'gopher'"],
      '2.34.8': ["don't know how to open Nix store with scheme 'gopher'"],
    },
  },
  {
    when: 'a file:// URL is relative',
    blame: 'destination',
    remedy: /spelling/,
    says: {
      '2.8.0': ["don't know how to open Nix store 'file://relative/cache?compression=zstd'"],
      '2.26.3': [
        "Cannot parse Nix store 'file://relative/cache?compression=zstd'",
        "Try 'nix --help' for more information.",
      ],
    },
  },
  {
    when: 'the port is no port',
    blame: 'destination',
    remedy: /port/,
    says: get(
      'URL using bad/illegal format or missing URL (3)',
      'URL using bad/illegal format or missing URL (3) URL rejected: Port number was not a decimal number between 0 and 65535',
    ),
  },
  {
    when: 'an ssh server is asked for http',
    blame: 'destination',
    remedy: /port/,
    says: get('Unsupported protocol (1)', 'Unsupported protocol (1) Received HTTP/0.9 when not allowed'),
  },
  {
    when: 'the URL asks for an unknown compression',
    blame: 'destination',
    remedy: /the values of its parameters/,
    says: {
      '2.8.0': ["unknown compression method 'foo'"],
      '2.34.8': ["option 'compression' has invalid value 'foo'", "Try 'nix --help' for more information."],
    },
  },
  {
    when: 'nix.conf has a line that is no setting',
    blame: 'destination',
    remedy: /refuses one of its settings: correct it, in nix.conf/,
    says: {
      '2.8.0': [
        "illegal configuration line 'no setting' in '/etc/nix/nix.conf'",
        "Try 'nix-store --help' for more information.",
      ],
      '2.34.8': [
        `syntax error in configuration line 'no setting' in "/etc/nix/nix.conf"`,
        "Try 'nix-store --help' for more information.",
      ],
    },
  },
  {
    when: 'nix.conf includes a file that is gone',
    blame: 'destination',
    remedy: /refuses one of its settings/,
    says: { all: ["file '/gone.conf' included from '/etc/nix/nix.conf' not found"] },
  },
  {
    when: 'nix.conf has values that make no sense',
    blame: 'destination',
    remedy: /refuses one of its settings/,
    says: { all: ["Boolean setting 'keep-outputs' has invalid value 'maybe'"] },
  },
  {
    when: 'a binary cache is for another store directory',
    blame: 'destination',
    remedy: /another store directory/,
    says: { all: [`binary cache '${URL}' is for Nix stores with prefix '/other/store', not '/nix/store'`] },
  },
  {
    when: 'the store at the other end has another directory',
    blame: 'destination',
    remedy: /another store directory/,
    says: {
      all: [
        "warning: the group 'nixbld' specified in 'build-users-group' does not exist",
        `path '${LIB}' is not in the Nix store`,
        'unexpected end-of-file',
      ],
    },
  },
  {
    when: 'the server takes no nix-cache-info, whatever it answers',
    blame: 'destination',
    remedy: /netrc-file/,
    says: { all: [`'${URL}' does not appear to be a binary cache`] },
  },
  {
    when: 'the destination does not trust the signing key',
    blame: 'destination',
    path: APP,
    remedy: /trusted-public-keys/,
    says: {
      '2.8.0': [`cannot add path '${APP}' because it lacks a valid signature`],
      '2.26.3': [`cannot add path '${APP}' because it lacks a signature by a trusted key`],
      '2.34.8': [`cannot add path '${APP}' because it lacks a signature by a trusted key`],
    },
  },
  {
    when: 'an untrusted user signs paths',
    blame: 'destination',
    remedy: /trusted-users/,
    says: { '2.8.0': ['you are not privileged to add signatures'] },
  },
  {
    when: 'nix-daemon is not there, or was killed',
    blame: 'destination',
    remedy: /systemctl/,
    says: {
      '2.8.0': ["cannot connect to socket at '/nix/var/nix/daemon-socket/socket': No such file or directory"],
      '2.34.8': ["cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused"],
      'Lix 2.95.3': ['could not connect to any lix socket (tried /nix/var/nix/daemon-socket/socket)'],
    },
  },
  {
    when: "the store is not the user's, and there is no nix-daemon",
    blame: 'destination',
    remedy: /run as root or through nix-daemon/,
    says: {
      '2.8.0': [
        "could not set permissions on '/nix/var/nix/profiles/per-user' to 755: Operation not permitted",
      ],
      '2.26.3': ["opening lock file '/nix/var/nix/db/big-lock': Permission denied"],
      '2.34.8': ['opening lock file "/nix/var/nix/db/big-lock": Permission denied'],
    },
  },
  {
    when: 'the database of Nix is mounted read-only',
    blame: 'destination',
    remedy: /read-only/,
    says: {
      '2.8.0': [
        "could not set permissions on '/nix/var/nix/profiles/per-user' to 755: Read-only file system",
      ],
      '2.34.8': ['opening lock file "/nix/var/nix/db/big-lock": Read-only file system'],
    },
  },
  {
    when: 'the database of Nix is damaged',
    blame: 'destination',
    remedy: /database of Nix is damaged/,
    says: {
      '2.8.0': [
        "executing SQLite statement 'pragma synchronous = off': file is not a database (in '/nix/var/nix/db/db.sqlite')",
      ],
      '2.26.3': [
        `executing SQLite query 'select id, hash, registrationTime, deriver, narSize, ultimate, sigs, ca from ValidPaths where path = '${LIB}';': database disk image is malformed, database disk image is malformed (in '/nix/var/nix/db/db.sqlite')`,
      ],
      '2.34.8': ['"/nix/var/nix/db/schema" is corrupt'],
    },
  },
  {
    when: 'the database is of a newer Nix',
    blame: 'destination',
    remedy: /newer Nix/,
    says: { all: ['current Nix store schema is version 99, but I only support 10'] },
  },
]

const CONNECTIONS: Case[] = [
  {
    when: 'nobody listens',
    blame: 'destination',
    remedy: /firewall/,
    says: get(
      "Couldn't connect to server (7)",
      'Could not connect to server (7) Failed to connect to 127.0.0.1 port 9 after 0 ms: Could not connect to server',
      'Could not connect to server (7) Failed to connect to 127.0.0.1:9 after 0 ms: Could not connect to server',
      'Failed to connect to 127.0.0.1:9 after 0 ms: Could not connect to server (curl error code=7)',
    ),
  },
  {
    when: 'there is no network',
    blame: 'destination',
    remedy: /DNS/,
    says: {
      '2.34.8': [
        "warning: you don't have Internet access; disabling some network-dependent features",
        `unable to download '${URL}/nix-cache-info': Could not resolve hostname (6) Could not resolve host: cache`,
      ],
    },
  },
  {
    when: 'nobody has that name',
    blame: 'destination',
    remedy: /DNS/,
    says: get(
      "Couldn't resolve host name (6)",
      'Could not resolve hostname (6) Could not resolve host: no-such-host.invalid',
      undefined,
      'Could not resolve host: no-such-host.invalid (curl error code=6)',
    ),
  },
  {
    when: 'no proxy has that name',
    blame: 'destination',
    remedy: /proxy/,
    says: get(
      "Couldn't resolve proxy name (5)",
      'Could not resolve proxy name (5) Could not resolve proxy: noproxy.invalid',
    ),
  },
  {
    when: 'the certificate is self-signed',
    blame: 'destination',
    remedy: /NIX_SSL_CERT_FILE/,
    says: get(
      'SSL peer certificate or SSH remote key was not OK (60)',
      'SSL peer certificate or SSH remote key was not OK (60) server verification failed: certificate signer not trusted. (CAfile: /etc/ssl/certs/ca-certificates.crt CRLfile: none)',
      'SSL peer certificate or SSH remote key was not OK (60) SSL certificate verification failed: certificate signer not trusted. (CAfile: /etc/ssl/certs/ca-certificates.crt CRLfile: none)',
      'SSL certificate OpenSSL verify result: self-signed certificate (18) (curl error code=60)',
    ),
  },
  {
    when: 'the certificate is self-signed, and curl was built with OpenSSL',
    blame: 'destination',
    remedy: /NIX_SSL_CERT_FILE/,
    says: {
      '2.35.2': [
        `unable to download '${URL}/nix-cache-info': SSL peer certificate or SSH remote key was not OK (60) SSL certificate OpenSSL verify result: self-signed certificate (18)`,
      ],
    },
  },
  {
    when: 'curl’s words change, and its code stays',
    blame: 'destination',
    remedy: /http:\/\//,
    says: get(
      'Some new words (in brackets) (35) and more (7)',
      undefined,
      undefined,
      'New (7) words (curl error code=35)',
    ),
  },
  {
    when: 'there are no CA certificates',
    blame: 'destination',
    remedy: /NIX_SSL_CERT_FILE/,
    says: get(
      'Problem with the SSL CA cert (path? access rights?) (77)',
      undefined,
      undefined,
      'error adding trust anchors from file: /nonexistent (curl error code=77)',
    ),
  },
  {
    when: 'the server speaks no TLS',
    blame: 'destination',
    remedy: /http:\/\//,
    says: get(
      'SSL connect error (35)',
      'SSL connect error (35) GnuTLS, handshake failed: An unexpected TLS packet was received.',
    ),
  },
  {
    when: 'nothing answers to the first packet (connect-timeout)',
    blame: 'destination',
    remedy: /in time/,
    says: get(
      'Timeout was reached (28)',
      'Timeout was reached (28) Connection timed out after 3001 milliseconds',
    ),
  },
  {
    when: 'the server never answers (stalled-download-timeout)',
    blame: 'destination',
    remedy: /in time/,
    says: get(
      'Timeout was reached (28)',
      'Timeout was reached (28) Operation too slow. Less than 1 bytes/sec transferred the last 4 seconds',
      undefined,
      'Operation too slow. Less than 1 bytes/sec transferred the last 1 seconds (curl error code=28)',
    ),
  },
  {
    when: 'the server stalls in the midst of an upload',
    blame: 'destination',
    remedy: /stands still/,
    says: put(
      "HTTP error 100 ('Continue') (curl error: Timeout was reached)",
      'HTTP error 100 (curl error: Timeout was reached)',
      undefined,
      'HTTP error 100 (Continue) (curl error code=28: Operation too slow. Less than 1 bytes/sec transferred the last 1 seconds) response body:',
    ),
  },
  {
    when: 'the server closes the connection without an answer',
    blame: 'destination',
    remedy: /broke off/,
    says: get(
      'Server returned nothing (no headers, no data) (52)',
      'Server returned nothing (no headers, no data) (52) Empty reply from server',
      undefined,
      'Empty reply from server (curl error code=52)',
    ),
  },
  {
    when: 'the server closes the connection instead of answering to a PUT',
    blame: 'destination',
    remedy: /broke off/,
    says: put(
      "HTTP error 100 ('Continue') (curl error: Server returned nothing (no headers, no data))",
      'Send failed since rewinding of the data stream failed (65) necessary data rewind was not possible',
      'Server returned nothing (no headers, no data) (52) Empty reply from server',
    ),
  },
  {
    when: 'the server closes the connection in the midst of an upload',
    blame: 'destination',
    remedy: /broke off/,
    says: put(
      "HTTP error 100 ('Continue') (curl error: Failure when receiving data from the peer)",
      'HTTP error 100 (curl error: Failure when receiving data from the peer)',
      undefined,
      'HTTP error 100 (Continue) (curl error code=56: Recv failure: Connection reset by peer) response body:',
    ),
  },
]

const ANSWERS: Case[] = [
  {
    when: 'a login is wanted or wrong',
    blame: 'destination',
    remedy: /netrc-file/,
    says: get("HTTP error 401 ('Unauthorized') response body: moody", 'HTTP error 401 response body: moody'),
  },
  {
    when: 'S3 refuses a signature',
    blame: 'destination',
    remedy: /AWS keys/,
    says: {
      '2.34.8': [
        `unable to upload '${NAR}': HTTP error 403 response body: <?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code></Error>`,
      ],
    },
  },
  {
    when: 'there is no such bucket',
    blame: 'destination',
    remedy: /path in the URL.*NoSuchBucket/,
    says: {
      '2.34.8': [
        `unable to upload '${URL}/bucket/nix-cache-info': HTTP error 404 response body: <?xml version="1.0"?><Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>`,
      ],
    },
  },
  {
    when: 'the server knows no such place',
    blame: 'destination',
    remedy: /path in the URL/,
    says: put(
      "HTTP error 404 ('Not Found') response body: moody",
      'HTTP error 404 response body: moody',
      undefined,
      'HTTP error 404 (Not Found) response body: moody',
    ),
  },
  ...[405, 411, 501].map(
    (status): Case => ({
      when: `the server takes no uploads (${status})`,
      blame: 'destination',
      remedy: /dav_methods/,
      says: put(
        `HTTP error ${status} ('${STATUS_CODES[status]}') response body: moody`,
        `HTTP error ${status} response body: moody`,
      ),
    }),
  ),
  {
    when: 'a proxy wants a login',
    blame: 'destination',
    remedy: /http_proxy/,
    says: {
      '2.26.3': [`unable to download '${URL}/nix-cache-info': HTTP error 407 response body: moody`],
      '2.34.8': [`unable to download '${URL}/nix-cache-info': HTTP error 407 response body: moody`],
    },
  },
  {
    when: 'the server redirects for ever',
    blame: 'destination',
    remedy: /final URL/,
    says: get(
      "HTTP error 302 ('Found') (curl error: Number of redirects hit maximum amount)",
      'HTTP error 302 (curl error: Number of redirects hit maximum amount)',
    ),
  },
  {
    when: 'the server has too much to do, and Nix may try twice',
    blame: 'destination',
    remedy: /fewer requests/,
    says: {
      '2.8.0': [
        `warning: error: unable to upload '${NAR}': HTTP error 429 ('Too Many Requests') response body: moody; retrying in 259 ms`,
        `while uploading to HTTP binary cache at '${URL}': error: unable to upload '${NAR}': HTTP error 100 ('Continue') (curl error: Timeout was reached) response body:`,
      ],
      '2.26.3': [
        `warning: error: unable to upload '${NAR}': HTTP error 429 response body: moody; retrying in 334 ms`,
        `while uploading to HTTP binary cache at '${URL}': error: unable to upload '${NAR}': Failed to open/read local data from file/application (26) client read function EOF fail, only 0/106 of needed bytes read response body:`,
      ],
      '2.34.8': [
        `warning: unable to upload '${NAR}': HTTP error 429 response body: moody; retrying in 64353 ms (attempt 1/2)`,
        `upload of '${NAR}' was interrupted`,
      ],
    },
  },
  ...[500, 502, 503, 504].map(
    (status): Case => ({
      when: `the server has trouble of its own (${status})`,
      blame: 'destination',
      remedy: /log of that server/,
      says: put(
        `HTTP error ${status} ('${STATUS_CODES[status]}') response body: moody`,
        `HTTP error ${status} response body: moody`,
      ),
    }),
  ),
  {
    when: 'the server refuses a request for a reason that is not known',
    blame: 'unknown',
    remedy: /Nix failed/,
    says: put("HTTP error 400 ('Bad Request') response body: moody", 'HTTP error 400 response body: moody'),
  },
]

const SSH: Case[] = [
  {
    when: 'the host key has changed',
    blame: 'destination',
    remedy: /known_hosts/,
    says: ssh(
      '@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@',
      '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @',
      'Offending ED25519 key in /root/.ssh/known_hosts:1',
      'Host key for [127.0.0.1]:7022 has changed and you have requested strict checking.',
      'Host key verification failed.',
    ),
  },
  {
    when: 'the host key is not known, with ssh-ng://',
    blame: 'destination',
    remedy: /known_hosts/,
    says: sshNg(
      'No ED25519 host key is known for [127.0.0.1]:7022 and you have requested strict checking.',
      'Host key verification failed.',
    ),
  },
  {
    when: 'the login is refused',
    blame: 'destination',
    remedy: /authorized_keys/,
    says: ssh('root@127.0.0.1: Permission denied (publickey).'),
  },
  {
    when: 'there is no Nix at the other end',
    blame: 'destination',
    remedy: /remote-program/,
    says: sshNg('bash: line 1: /nonexistent/nix-daemon: No such file or directory'),
  },
  {
    when: 'the account has no shell',
    blame: 'destination',
    remedy: /login shell/,
    says: sshNg('This account is currently not available.'),
  },
  {
    when: 'something else answers',
    blame: 'destination',
    remedy: /start-up files/,
    says: {
      '2.8.0': ["'nix-store --serve' protocol mismatch from 'cache', got 'Welcome to this machine'"],
      '2.26.3': [
        "cannot open connection to remote store 'ssh-ng://': error: protocol mismatch, got 'Welcome to this machine'",
      ],
    },
  },
  {
    when: 'nobody listens',
    blame: 'destination',
    remedy: /firewall/,
    says: sshNg('ssh: connect to host 127.0.0.1 port 7999: Connection refused'),
  },
  {
    when: 'nobody has that name',
    blame: 'destination',
    remedy: /DNS/,
    says: ssh('ssh: Could not resolve hostname nohost.invalid: Name or service not known'),
  },
  {
    when: 'there is no network',
    blame: 'destination',
    remedy: /firewall/,
    says: ssh(
      "warning: you don't have Internet access; disabling some network-dependent features",
      'ssh: connect to host 127.0.0.1 port 7022: Network is unreachable',
    ),
  },
  {
    when: 'the connection is cut, ssh://',
    blame: 'destination',
    remedy: /broke off/,
    says: {
      '2.8.0': [
        "Warning: Permanently added '[127.0.0.1]:44517' (ED25519) to the list of known hosts.",
        'client_loop: send disconnect: Broken pipe',
        'writing to file: Broken pipe',
      ],
      '2.26.3': ['Connection reset by 127.0.0.1 port 44517', 'writing to file: Broken pipe'],
      '2.34.8': ['client_loop: send disconnect: Broken pipe', 'write of 24576 bytes: Broken pipe'],
    },
  },
  {
    when: 'Nix at the other end is killed',
    blame: 'destination',
    remedy: /by hand with ssh/,
    says: sshNg(),
  },
  {
    when: 'the disk at the other end is full',
    blame: 'destination',
    remedy: /make room/,
    says: {
      '2.8.0': ['writing to file: No space left on device', 'writing to file: Broken pipe'],
      '2.26.3': [
        "setting journal mode: database or disk is full, database or disk is full (in '/nix/var/nix/db/db.sqlite')",
        "cannot connect to '127.0.0.1'",
      ],
    },
  },
]

const DISKS: Case[] = [
  {
    when: 'the disk is full',
    blame: 'destination',
    remedy: /make room/,
    says: {
      '2.8.0': [
        'writing to file: No space left on device',
        "(use '--show-trace' to show detailed location information)",
      ],
      '2.26.3': ['writing to file: No space left on device'],
      '2.34.8': ['write of 12288 bytes: No space left on device'],
    },
  },
  {
    when: 'the disk of TMPDIR is full',
    blame: 'destination',
    remedy: /TMPDIR/,
    says: {
      '2.8.0': [
        "terminate called after throwing an instance of 'nix::SysError'",
        'what():  error: writing to file: No space left on device',
      ],
      '2.26.3': [
        "executing SQLite statement ' create table if not exists BinaryCaches ( id        integer primary key autoincrement not null, url       text unique not null, timestamp integer not null, storeDir  text not null, wantMassQuery integer not null, priority  integer not null ); create table if not exists NARs ( cache            integer not null, hashPart         text not null, namePart         text, url              text, compression      text, fileHash         text, fileSize         integer ); ': database or disk is full, database or disk is full (in '/tmp/nix-upload-TCH1Gw/nix/binary-cache-v6.sqlite')",
      ],
      '2.34.8': [
        "executing SQLite statement 'pragma main.journal_mode = wal': database or disk is full, database or disk is full (in '/tmp/nix-upload-TCH1Gw/nix/binary-cache-v7.sqlite')",
      ],
    },
  },
  {
    when: 'the disk of TMPDIR has some kilobytes left',
    blame: 'destination',
    remedy: /TMPDIR/,
    says: {
      '2.34.8': [
        "executing SQLite statement ' create table if not exists BinaryCaches ( id integer primary key autoincrement not null ); ': disk I/O error, disk I/O error (in '/tmp/nix-upload-ckNmt2/nix/binary-cache-v7.sqlite')",
      ],
    },
  },
  {
    when: 'the file system is read-only',
    blame: 'destination',
    remedy: /read-write/,
    says: {
      '2.8.0': ["creating directory '/mnt/cache/nar': Read-only file system"],
      '2.34.8': ['creating directory "/mnt/cache/nar": Read-only file system'],
    },
  },
  {
    when: 'the directory belongs to somebody else',
    blame: 'destination',
    remedy: /owner and mode/,
    says: {
      '2.8.0': ["creating directory '/srv/cache/realisations': Permission denied"],
      '2.34.8': ['creating directory "/srv/cache/nar": Permission denied'],
    },
  },
  {
    when: 'the directory is immutable',
    blame: 'destination',
    remedy: /owner and mode/,
    says: { '2.26.3': ["creating directory '/srv/cache/nar': Operation not permitted"] },
  },
  {
    when: 'a file is in the way',
    blame: 'destination',
    remedy: /in the way/,
    says: {
      '2.8.0': ["'/srv/cache' is not a directory"],
      '2.26.3': ["creating directory '/srv/cache/nar': Not a directory"],
      '2.34.8': ['creating directory "/srv/cache/nar": Not a directory'],
    },
  },
  {
    when: 'the parent is not there',
    blame: 'destination',
    remedy: /check its path/,
    says: { '2.34.8': ['creating directory "/proc/cache/nar": No such file or directory'] },
  },
]

const ALL: [string, Case[]][] = [
  ['the job', JOB],
  ['what is set wrong', SETTINGS],
  ['connections', CONNECTIONS],
  ['answers', ANSWERS],
  ['ssh', SSH],
  ['disks', DISKS],
]

describe.each(ALL)('judges %s', (_, cases) => {
  const texts = cases.flatMap((one) =>
    Object.entries(one.says).map(([version, messages]) => ({ ...one, version, messages })),
  )
  test.each(texts)('$when ($version): $blame', ({ messages, blame, permanent, path, remedy }) => {
    const verdict = judge(messages)
    expect(verdict).toMatchObject({ blame, permanent: permanent ?? false })
    expect(verdict.path).toBe(path)
    expect(verdict.message).toMatch(remedy)
    expect(verdict.message).toMatch(/^[^\n]{40,500}$/)
  })
})
