import type { Blame } from '../util/verdict.ts'
import type { Saying } from './said.ts'

/** What some texts of Nix's mean. */
export interface Rule {
  /** The first group, if there is one, is what Nix complains of; a store path there is the verdict's `path`. */
  says: readonly Saying[]
  /** It has this meaning only where it is about a path of the store. */
  ofStorePath?: true
  blame: Blame
  permanent?: true
  /** What is wrong, and what to check or to do, for an operator at night. */
  means: string
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

/** What a server answered. */
function http(codes: string): Saying {
  return ['all', new RegExp(`HTTP error (?:${codes})\\b`, 'i')]
}

/**
 * Nix exits with 1 whatever happens; only the text tells failures apart, where the store and the disk don't
 * (`culprit.ts`). The first rule that matches any message decides, so the order is: what can only be the job's own; what
 * says exactly what is wrong; how the server answered; trouble of disks and permissions; and last the symptoms that come
 * along with all of these, such as a broken pipe.
 *
 * Before each text, the Nixes that were made to say it. The texts themselves are in test/nix/blame-texts.test.ts, and
 * what provoked them in test/delivery/blame/.
 */
export const RULES: readonly Rule[] = [
  // The job's own: its paths are gone, damaged, or refused for what they are.
  {
    // `nix copy`; 2.34 says it of a derivation too
    says: [['all', /path (\/.+?) is required, but there is no substituter that can build it/i]],
    blame: 'job',
    permanent: true,
    means: 'the path is not in the store any more (garbage-collected?): build it again, then requeue the job',
  },
  {
    // `nix-store --query --outputs`, and `nix copy` of a derivation
    says: [
      ['2.8 2.26', /path (\/.+?\.drv) does not exist and cannot be created/i],
      ['2.8', /path (\/.+?\.drv) is not a valid store path/i],
    ],
    blame: 'job',
    permanent: true,
    means: 'the derivation is not in the store any more: build it again, or queue its outputs by their paths',
  },
  {
    // to a binary cache with --no-recursive
    says: [
      [
        '2.8 2.26 2.34 2.35',
        /cannot add (\/.+?) to the binary cache because the reference \S+ is not valid/i,
      ],
      ['Lix', /cannot add (\/.+?) to the binary cache because the reference \S+ does not exist/i],
    ],
    blame: 'job',
    means:
      'a dependency of the path is not at the destination: upload whole closures, or the dependency before it',
  },
  {
    // to another Nix store with --no-recursive, in reading a destination back, and of queries of the store here
    says: [
      ['2.8 2.26 2.34 2.35', /path (\/.+?) is not valid/i],
      ['Lix', /path (\/.+?) does not exist in the (?:Lix database|store)/i],
    ],
    blame: 'job',
    means:
      'a path is not valid: either it was just garbage-collected here, or it is a dependency that the destination lacks',
  },
  {
    says: [
      ['2.8 Lix', /getting status of (\/.+): No such file/i],
      // 2.26 with a second slash before the path, 2.34 with one behind it
      ['2.26 2.34', /path (\/.+?) does not exist/i],
      ['2.35', /opening file (\/.+): No such file/i],
    ],
    ofStorePath: true,
    blame: 'job',
    permanent: true,
    means:
      'Nix takes the path for valid, but its files are gone from the disk: run nix-store --repair-path on it, or build it again, then requeue the job',
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
    // where the user may not read what lies in the store: a file, a directory, what is in it
    says: [
      ['all', /(?:opening|getting status of) (?:file |directory )?(\/.+): Permission denied/i],
      ['2.26 2.34', /(?:cannot read|reading) directory (\/.+): Permission denied/i],
    ],
    ofStorePath: true,
    blame: 'job',
    permanent: true,
    means:
      'this user may not read the path: run nix-upload as root, or make the path readable (chmod -R a+rX), then requeue the job',
  },
  {
    // 2.34 and 2.35 name the file without its store path
    says: [['all', /file (\/.+?) has an unsupported type/i]],
    blame: 'job',
    permanent: true,
    means:
      'somebody put a socket, a pipe or a device into the path after it was built: remove it, then requeue the job',
  },
  {
    // nginx; 2.34 for the codes of S3
    says: [http('413'), ['2.34', /\bEntityTooLarge\b/i]],
    blame: 'job',
    permanent: true,
    means:
      'the destination refuses a file of this size: raise its limit (client_max_body_size of nginx) and requeue the job, or exclude such paths',
  },

  // What is said in so many words, and concerns everybody.
  {
    // Debian builds them without the AWS SDK, and Lix's could not be had
    says: [
      ['2.8 Lix', /don.?t know how to open Nix store s3:/i],
      ['2.26', /don.?t know how to open Nix store with scheme s3/i],
    ],
    blame: 'destination',
    means: "this Nix was built without S3 and can't upload there: use a Nix that can, or another way there",
  },
  {
    says: [
      ['all', /don.?t know how to open Nix store/i],
      ['2.26 2.34 2.35', /Cannot parse Nix store/i],
      ['all', /URL using bad\/illegal format|Unsupported protocol/i],
      curl(1, 3),
    ],
    blame: 'destination',
    means: 'Nix can do nothing with the URL of this destination: check its spelling and its port',
  },
  {
    says: [
      ['2.8 2.26 Lix', /unknown compression method/i],
      ['2.34 2.35', /option \S+ has invalid value/i],
    ],
    blame: 'destination',
    means: 'a parameter in the URL of this destination has a value that Nix does not know: correct it',
  },
  {
    // a binary cache, or a store at the other end of ssh
    says: [['all', /is for Nix stores with prefix|is not in the Nix store/i]],
    blame: 'destination',
    means: "the destination is for another store directory than the one here: it can't take these paths",
  },
  {
    // whatever the server answered to the PUT of nix-cache-info (but S3 on 2.34 gives the answer); 2.8 and Lix say it of a 401
    says: [['all', /does not appear to be a binary cache/i]],
    blame: 'destination',
    means:
      'there is no nix-cache-info, and the server did not take one: check the URL, the login (netrc-file), and that it accepts PUT and has room',
  },
  {
    says: [
      // 2.8 with "secret" before "key"
      ['2.8 2.26 2.34 2.35', /\bkey is corrupt/i],
      ['all', /secret key is not valid|invalid character in Base64 string/i],
      // where secret-key-file is a directory
      ['2.8 2.26 Lix', /reading from file: Is a directory/i],
      ['2.34 2.35', /read of \d+ bytes: Is a directory/i],
    ],
    blame: 'destination',
    means:
      'the signing key is malformed: secret-key-file must hold the secret half of a pair from nix-store --generate-binary-cache-key',
  },
  {
    // no other file is opened by its name but the signing key and what lies in the store
    says: [['all', /opening file (\/.+): (?:No such file or directory|Permission denied)/i]],
    blame: 'destination',
    means:
      "a file that this destination needs can't be read (its secret-key-file?): check that it is there and that this user may read it",
  },
  {
    // ssh-ng://, unix://, local?root=
    says: [
      ['2.8', /cannot add path (\/.+?) because it lacks a valid signature/i],
      ['2.26 2.34 2.35 Lix', /cannot add path (\/.+?) because it lacks a signature by a trusted key/i],
    ],
    blame: 'destination',
    means:
      "the destination trusts no signature on the path: set secret-key-file, and list its public key in the destination's trusted-public-keys",
  },
  {
    // of nix-daemon
    says: [['2.8', /you are not privileged to add signatures/i]],
    blame: 'destination',
    means:
      'nix-daemon lets trusted users only sign paths: add the user of this service to trusted-users in nix.conf',
  },
  {
    // logs and signatures to ssh://
    says: [['all', /not supported by store /i]],
    blame: 'destination',
    means:
      "this kind of destination can't do that (ssh:// takes no logs and no later signatures, ssh-ng:// does)",
  },
  {
    says: [
      ['2.8 2.26 2.34 2.35', /cannot connect to socket at /i],
      ['Lix', /could not connect to any lix socket/i],
    ],
    blame: 'destination',
    means:
      'nix-daemon does not answer at its socket: check systemctl status nix-daemon.socket nix-daemon.service',
  },
  {
    // as a user without rights, and without nix-daemon
    says: [
      ['2.8 Lix', /could not set permissions on \S+\/profiles\/per-user/i],
      ['2.26 2.34 2.35', /opening lock file \S+\/big-lock: /i],
    ],
    blame: 'destination',
    means:
      "Nix may not write to its own database (here, or at the other end of ssh): run as root or through nix-daemon, and check that the disk isn't read-only",
  },
  {
    says: [
      ['all', /current Nix store schema is version|\/db\/schema is corrupt/i],
      ['all', /file is not a database|database disk image is malformed/i],
    ],
    blame: 'destination',
    means:
      'the database of Nix is damaged or of a newer Nix (here, or at the other end of ssh): look into its file, named below',
  },

  // ssh, and how the connection failed.
  {
    says: [['all', /Host key verification failed/i]],
    blame: 'destination',
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
    blame: 'destination',
    means:
      'the destination refuses the ssh login: check the user name and the key of the user that runs this, and authorized_keys there',
  },
  {
    says: [
      ['2.8 Lix', /unable to execute ssh/i],
      ['2.26 2.34 2.35', /Could not find executable ssh/i],
    ],
    blame: 'destination',
    means: 'there is no ssh on the PATH of this service: install the OpenSSH client, or add it to the PATH',
  },
  {
    // of the shell at the other end (bash; dash and zsh put it the other way round)
    says: [
      ['all', /^-?(?:ba|da|k|z)?sh: .*(?:No such file or directory|not found)/i],
      ['all', /command not found|account is currently not available/i],
    ],
    blame: 'destination',
    means:
      "Nix can't be run at the other end of ssh: check that nix is on the PATH of that user, or set remote-program, and the login shell",
  },
  {
    says: [['all', /protocol mismatch/i]],
    blame: 'destination',
    means:
      "what answers over ssh is not Nix's protocol: the shell's start-up files there must print nothing, and the versions of Nix must fit",
  },
  {
    says: [
      curl(7),
      ['all', /Could(?:nt| not) connect to server/i],
      // ssh
      ['all', /Connection refused|Network is unreachable|No route to host/i],
    ],
    blame: 'destination',
    means:
      'the destination does not accept connections: check that it is up, its address and port, and the firewall',
  },
  {
    says: [
      curl(5, 6),
      ['all', /Could(?:nt| not) resolve (?:host|proxy)/i],
      // ssh
      ['all', /Name or service not known|Temporary failure in name resolution/i],
    ],
    blame: 'destination',
    means:
      "the host name of the destination (or of the proxy) can't be resolved: check its spelling, the network and DNS",
  },
  {
    says: [
      curl(60, 77),
      ['2.8 2.26 2.34 2.35', /SSL peer certificate|SSL CA cert/i],
      ['all', /certificate verification failed/i],
    ],
    blame: 'destination',
    means:
      'the certificate of the destination is not trusted: check its dates and name, and the CA certificates here (NIX_SSL_CERT_FILE)',
  },
  {
    says: [curl(35), ['2.8 2.26 2.34 2.35', /SSL connect error/i]],
    blame: 'destination',
    means: 'no TLS connection comes about: is it http:// rather than https://, or the wrong port?',
  },

  // How a server answered.
  {
    // S3
    says: [['2.34 2.35', /\bNoSuchBucket\b/i]],
    blame: 'destination',
    means:
      'there is no such bucket: check its name, region and endpoint in the URL of this destination, or create it',
  },
  {
    // 2.8 and Lix for PUT only: they take these for "not there" in a GET
    says: [http('401|403')],
    blame: 'destination',
    means:
      'the destination refuses our credentials, or does not let them write: check the login (netrc-file, AWS keys) and its rights',
  },
  {
    says: [http('407')],
    blame: 'destination',
    means: 'a proxy on the way wants a login: check http_proxy and https_proxy of this service',
  },
  {
    // of a PUT
    says: [http('404')],
    blame: 'destination',
    means: 'the server knows no such place to upload to: check the path in the URL of this destination',
  },
  {
    // 405 to HEAD and PUT, 411 and 501 to PUT
    says: [http('405|411|501')],
    blame: 'destination',
    means:
      'the server does not take uploads in this way: it must allow HEAD and PUT (dav_methods PUT in nginx)',
  },
  {
    says: [http('429')],
    blame: 'destination',
    means: 'the destination asks for fewer requests; nothing to do unless it stays so: then raise its limit',
  },
  {
    // nginx included: its 500 is what it says of a full disk
    says: [http('5\\d\\d')],
    blame: 'destination',
    means: 'the destination has trouble of its own (its disk may be full): look into the log of that server',
  },
  {
    says: [http('3\\d\\d'), curl(47)],
    blame: 'destination',
    means: 'the server sends us elsewhere, and not to an end: give the final URL as this destination',
  },

  // Disks and permissions, at a file:// destination, here, or at the other end of ssh.
  {
    says: [
      ['all', /No space left on device|Disk quota exceeded/i],
      // SQLite's words (an "I/O error" for the last kilobytes): ssh and local?root=, and Nix's own cache in TMPDIR
      ['all', /database or disk is full|disk I\/O error/i],
    ],
    blame: 'destination',
    means:
      "a disk is full (or failing), the destination's or that of TMPDIR here, where Nix packs what it sends: make room",
  },
  {
    says: [['all', /Read-only file system/i]],
    blame: 'destination',
    means:
      'a file system is mounted read-only that must be written to: look for disk errors, mount it read-write',
  },
  {
    says: [['all', /Permission denied|Operation not permitted/i]],
    blame: 'destination',
    means:
      'permission denied: the user that runs this must be able to write to the destination: check owner and mode',
  },
  {
    says: [
      ['all', /creating directory .+: (?:Not a directory|No such file or directory)/i],
      ['2.8 Lix', / is not a directory/i],
    ],
    blame: 'destination',
    means: "the directory of the destination can't be made: check its path (is a file in the way?)",
  },

  // Symptoms. What caused them is often in the message before, so all rules above come first.
  {
    // connect-timeout, stalled-download-timeout
    says: [
      http('408'),
      curl(28),
      ['all', /Timeout was reached|Operation too slow|Connection timed out|Operation timed out/i],
    ],
    blame: 'destination',
    means:
      'the destination does not answer in time, or the upload stands still: check the network and the load there',
  },
  {
    says: [
      curl(16, 18, 52, 55, 56, 92),
      ['2.8 2.26 2.34 2.35', /Server returned nothing|Failure when receiving data|Failed sending data/i],
      // curl's 26 and 65: it can't send a path a second time
      ['2.26', /Failed to open\/read local data|rewinding of the data stream/i],
      // ssh
      ['all', /Broken pipe|Connection (?:reset|closed) by|client_loop: /i],
    ],
    blame: 'destination',
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
    blame: 'destination',
    means: 'the connection to the destination failed: try it by hand with ssh, as the user that runs this',
  },
  {
    // Not seen here: Nix's own source, up to 2.32 built with the AWS SDK (as on NixOS).
    says: [['', /AWS error \w+ /i]],
    blame: 'destination',
    means:
      'S3 refuses: check the bucket, the region, the endpoint, and the AWS keys of the user that runs this',
  },
]
