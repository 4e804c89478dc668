import { type Refusal, refusalOf } from '../util/http-refusal.ts'
import type { Saying } from './said.ts'

/** The meaning of some of Nix's messages. */
export interface Rule {
  /** The first group, if there is one, is the subject of the message; a store path there is the verdict's `path`. */
  says: readonly Saying[]
  /** The message has this meaning only if it is about a store path. */
  ofStorePath?: true
  /** The destination, unless told. */
  blame?: 'job'
  permanent?: true
  /** What is wrong, and what to check or to do, for an operator at night; or tells that from the text. */
  means: string | ((match: RegExpExecArray) => Refusal | undefined)
}

/**
 * What curl failed with, by its code, which never changes: the first number in brackets, or what Lix says outright. Details
 * of TLS have numbers of their own.
 */
function curl(...codes: number[]): Saying {
  const code = `(?:${codes.join('|')})[):]`
  const lix = `.*\\(curl error code=${code}`
  const nix = `(?!.*\\(curl error code=)(?:[^(]|\\((?!\\d+\\)))*\\(${code}`
  return ['all', new RegExp(`unable to \\w+ (?:${lix}|${nix})`, 'i')]
}

/** What to do if a file of a store path can't be read. */
export const UNREADABLE =
  'this user may not read the path: run nix-upload as root, or make the path readable (chmod -R a+rX), then requeue the job'

/** What to do if a store path contains something that no archive can hold. */
export const UNSUPPORTED =
  'somebody put a socket, a pipe or a device into the path after it was built: remove it, then requeue the job'

/**
 * Nix's exit code is 1 for all failures. If the store and the disk don't tell them apart (`culprit.ts`), only the text
 * does. The first rule that matches any message decides, so the order is: failures that can only be the job's own; messages
 * that name the exact cause; answers of servers; trouble with disks and permissions; and last the symptoms that accompany
 * all of these, such as a broken pipe.
 *
 * Each text has in front the releases that were made to print it. Full messages are in test/nix/blame-texts.test.ts, and
 * the ways to provoke them in test/delivery/blame/.
 */
export const RULES: readonly Rule[] = [
  // The job's own.
  {
    // to another Nix store with --no-recursive, in reading a destination back, and of queries of the local store
    says: [
      ['2.8 2.26 2.34 2.35', /path (\/.+?) is not valid/i],
      ['Lix', /path (\/.+?) does not exist in the (?:Lix database|store)/i],
    ],
    blame: 'job',
    means:
      'a path is not valid: either it was just garbage-collected here, or it is a dependency that the destination lacks',
  },
  {
    // to ssh://, ssh-ng:// and local?root=; a binary cache takes the damaged path without a word
    says: [['all', /hash mismatch importing path (\/[^;]+)/i]],
    blame: 'job',
    permanent: true,
    means:
      'the path was changed or damaged on this disk since it was built: check it with nix-store --verify-path, repair it with --repair-path, then requeue the job',
  },
  {
    // of what lies below a store path
    says: [
      ['all', /(?:opening|getting status of) (?:file |directory )?(\/.+): Permission denied/i],
      ['2.26 2.34', /(?:cannot read|reading) directory (\/.+): Permission denied/i],
    ],
    ofStorePath: true,
    blame: 'job',
    permanent: true,
    means: UNREADABLE,
  },
  {
    // of what lies below a store path; 2.34 and 2.35 name the file without that
    says: [['all', /file (\/.+?) has an unsupported type/i]],
    blame: 'job',
    permanent: true,
    means: UNSUPPORTED,
  },

  // Messages that name the exact cause, and concern all jobs.
  {
    says: [
      ['all', /don.?t know how to open Nix store/i],
      ['2.26 2.34 2.35', /Cannot parse Nix store/i],
      ['2.8 2.26 Lix', /unknown compression method/i],
      ['2.34 2.35', /option \S+ has invalid value/i],
      curl(1, 3),
    ],
    means:
      'Nix can do nothing with the URL of this destination: check its spelling, its port and the values of its parameters',
  },
  {
    // of every command, also of queries of the local store
    says: [
      ['2.26 2.34 2.35', /syntax error in configuration line/i],
      ['2.8 Lix', /illegal configuration line/i],
      ['all', /file \S+ included from \S+ not found/i],
      ['all', /configuration setting \S+ should be|setting \S+ has invalid value/i],
    ],
    means:
      'Nix refuses one of its settings: correct it, in nix.conf, in NIX_CONFIG or in the URL of this destination',
  },
  {
    // a binary cache, or a store at the other end of ssh
    says: [['all', /is for Nix stores with prefix|is not in the Nix store/i]],
    means: "the destination is for another store directory than the one here: it can't take these paths",
  },
  {
    // whatever the server answered to the PUT of nix-cache-info (but S3 on 2.34 gives the answer); 2.8 and Lix say it of a 401
    says: [['all', /does not appear to be a binary cache/i]],
    means:
      'there is no nix-cache-info, and the server did not take one: check the URL, the login (netrc-file), and that it accepts PUT and has room',
  },
  {
    // ssh-ng://, unix://, local?root=
    says: [
      ['2.8', /cannot add path (\/.+?) because it lacks a valid signature/i],
      ['2.26 2.34 2.35 Lix', /cannot add path (\/.+?) because it lacks a signature by a trusted key/i],
    ],
    means:
      "the destination trusts no signature on the path: set secret-key-file, and list its public key in the destination's trusted-public-keys",
  },
  {
    // of nix-daemon
    says: [['2.8', /you are not privileged to add signatures/i]],
    means:
      'nix-daemon lets trusted users only sign paths: add the user that uploads to trusted-users in nix.conf',
  },
  {
    says: [
      ['2.8 2.26 2.34 2.35', /cannot connect to socket at /i],
      ['Lix', /could not connect to any lix socket/i],
    ],
    means:
      'nix-daemon does not answer at its socket: check systemctl status nix-daemon.socket nix-daemon.service',
  },
  {
    // as a user without rights, and without nix-daemon
    says: [
      ['2.8 Lix', /could not set permissions on \S+\/profiles\/per-user/i],
      ['2.26 2.34 2.35', /opening lock file \S+\/big-lock: /i],
    ],
    means:
      "Nix may not write to its own database (here, or at the other end of ssh): run as root or through nix-daemon, and check that the disk isn't read-only",
  },
  {
    says: [
      ['all', /current Nix store schema is version|\/db\/schema is corrupt/i],
      ['all', /file is not a database|database disk image is malformed/i],
    ],
    means:
      'the database of Nix is damaged or of a newer Nix (here, or at the other end of ssh): look into its file, named below',
  },

  // ssh, and how the connection failed.
  {
    says: [['all', /Host key verification failed/i]],
    means:
      'the host key of the destination is unknown or has changed: put the right one into known_hosts of the user that runs this',
  },
  {
    says: [
      [
        'all',
        /Permission denied \([a-z,-]+\)|Permission denied, please try again|Too many authentication failures/i,
      ],
    ],
    means:
      'the destination refuses the ssh login: check the user name and the key of the user that runs this, and authorized_keys there',
  },
  {
    // of the shell at the other end (bash; dash and zsh put it the other way round)
    says: [
      ['all', /^-?(?:ba|da|k|z)?sh: .*(?:No such file or directory|not found)/i],
      ['all', /command not found|account is currently not available/i],
    ],
    means:
      "Nix can't be run at the other end of ssh: check that nix is on the PATH of that user, or set remote-program, and the login shell",
  },
  {
    says: [['all', /protocol mismatch/i]],
    means:
      "what answers over ssh is not Nix's protocol: the shell's start-up files there must print nothing, and the versions of Nix must fit",
  },
  {
    // the words are those of ssh
    says: [curl(7), ['all', /Connection refused|Network is unreachable|No route to host/i]],
    means:
      'the destination does not accept connections: check that it is up, its address and port, and the firewall',
  },
  {
    // the words are those of ssh
    says: [curl(5, 6), ['all', /Could not resolve hostname/i]],
    means:
      "the host name of the destination (or of the proxy) can't be resolved: check its spelling, the network and DNS",
  },
  {
    says: [curl(60, 77)],
    means:
      'the certificate of the destination is not trusted: check its dates and name, and the CA certificates here (NIX_SSL_CERT_FILE)',
  },
  {
    says: [curl(35)],
    means: 'no TLS connection comes about: is it http:// rather than https://, or the wrong port?',
  },

  // How a server answered: 2.8 and Lix take 401 and 403 to a GET for "not there".
  { says: [['all', /HTTP error (\d{3})\b/i]], means: ([, status]) => refusalOf(Number(status)) },

  // Disks and permissions, at a file:// destination, here, or at the other end of ssh.
  {
    says: [
      ['all', /No space left on device|Disk quota exceeded/i],
      // SQLite's words (an "I/O error" for the last kilobytes): ssh and local?root=, and Nix's own cache in TMPDIR
      ['all', /database or disk is full|disk I\/O error/i],
    ],
    means:
      "a disk is full (or failing), the destination's or that of TMPDIR here, where Nix packs what it sends: make room",
  },
  {
    says: [['all', /Read-only file system/i]],
    means:
      'a file system is mounted read-only that must be written to: look for disk errors, mount it read-write',
  },
  {
    says: [['all', /Permission denied|Operation not permitted/i]],
    means:
      'permission denied: the user that runs this must be able to write to the destination: check owner and mode',
  },
  {
    says: [
      ['all', /creating directory .+: (?:Not a directory|No such file or directory)/i],
      ['2.8 Lix', / is not a directory/i],
    ],
    means: "the directory of the destination can't be made: check its path (is a file in the way?)",
  },

  // Symptoms. Their cause is often in an earlier message, so all rules above come first.
  {
    // connect-timeout, stalled-download-timeout, where an answer had begun; and ssh
    says: [
      curl(28),
      ['2.8 2.26 2.34 2.35', /Timeout was reached/i],
      ['all', /(?:Connection|Operation) timed out/i],
    ],
    means:
      'the destination does not answer in time, or the upload stands still: check the network and the load there',
  },
  {
    says: [
      // 26 and 65: it can't send a path a second time
      curl(16, 18, 26, 52, 55, 56, 65, 92),
      ['2.8 2.26 2.34 2.35', /Server returned nothing|Failure when receiving data|Failed sending data/i],
      // ssh
      ['all', /Broken pipe|Connection (?:reset|closed) by|client_loop: /i],
    ],
    means:
      'the connection broke off in the midst of it: check the network, and the log at the other end if it stays so',
  },
  {
    // ssh
    says: [
      ['2.26 2.34 2.35 Lix', /failed to start SSH connection/i],
      ['all', /cannot connect to |cannot open connection to remote store/i],
      ['2.8 2.26 2.34 2.35', /unexpected end-of-file/i],
      ['2.26 2.34 2.35 Lix', /disconnected unexpectedly/i],
      ['Lix', /async stream ended/i],
    ],
    means: 'the connection to the destination failed: try it by hand with ssh, as the user that runs this',
  },
]
