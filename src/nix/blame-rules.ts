import type { Blame } from '../util/verdict.ts'

/** What one text of Nix's means. */
export interface Rule {
  /** Its first group, if it has one, is what Nix complains of; a store path there is the verdict's `path`. */
  pattern: RegExp
  blame: Blame
  permanent?: true
  /** What is wrong, and what to check or to do, for an operator at night. */
  means: string
}

/**
 * Nix exits with 1 whatever happens; only the text tells failures apart. The first rule that matches any message
 * decides, so the order is: what can only be the job's own; what says exactly what is wrong; how the server answered;
 * trouble of disks and permissions; and last the symptoms that come along with all of these, such as a broken pipe.
 *
 * Behind each, the versions of Nix that were made to say it: all is 2.8.0, 2.26.3 and 2.34.8. The texts themselves
 * are in test/nix/blame-texts.test.ts, and what provoked them in test/delivery/blame/.
 */
export const RULES: readonly Rule[] = [
  // The job's own: its paths are gone, damaged, or refused for what they are.
  {
    // all, `nix copy`; 2.34.8 says it of a derivation too
    pattern: /path '([^']+)' is required, but there is no substituter that can build it/,
    blame: 'job',
    permanent: true,
    means: 'the path is not in the store any more (garbage-collected?): build it again, then requeue the job',
  },
  {
    // 2.8.0, 2.26.3: `nix-store --query --outputs`; 2.8.0: `nix copy` of a derivation
    pattern: /path '([^']+\.drv)' (?:does not exist and cannot be created|is not a valid store path)/,
    blame: 'job',
    permanent: true,
    means: 'the derivation is not in the store any more: build it again, or queue its outputs by their paths',
  },
  {
    // all, to a binary cache with --no-recursive
    pattern: /cannot add '([^']+)' to the binary cache because the reference '[^']+' is not valid/,
    blame: 'job',
    means:
      'a dependency of the path is not at the destination: upload whole closures, or the dependency before it',
  },
  {
    // all: to another Nix store with --no-recursive, in reading a destination back, and of queries of the store here
    pattern: /path '([^']+)' is not valid/,
    blame: 'job',
    means:
      'a path is not valid: either it was just garbage-collected here, or it is a dependency that the destination lacks',
  },
  {
    // 2.8.0; 2.26.3 (with a second slash before the path), 2.34.8 (with one behind it)
    pattern:
      /getting status of '([^']+\/[0-9a-df-np-sv-z]{32}-[^']+)': No such file|path '([^']+\/[0-9a-df-np-sv-z]{32}-[^']+)' does not exist/,
    blame: 'job',
    permanent: true,
    means:
      'Nix takes the path for valid, but its files are gone from the disk: run nix-store --repair-path on it, or build it again, then requeue the job',
  },
  {
    // all, to ssh://, ssh-ng:// and local?root=; a binary cache takes the damaged path without a word
    pattern: /hash mismatch importing path '([^']+)'/,
    blame: 'job',
    permanent: true,
    means:
      'the path was changed or damaged on this disk since it was built: check it with nix-store --verify-path, repair it with --repair-path, then requeue the job',
  },
  {
    // all, where the user may not read what lies in the store: a file, a directory, what is in it
    pattern:
      /(?:opening|reading|cannot read|getting status of) .*?(\/[^'"\s]*\/[0-9a-df-np-sv-z]{32}-[^'"]+?)['"]?: Permission denied/,
    blame: 'job',
    permanent: true,
    means:
      'this user may not read the path: run nix-upload as root, or make the path readable (chmod -R a+rX), then requeue the job',
  },
  {
    // all; 2.34.8 names the file without its store path
    pattern: /file '([^']+)' has an unsupported type/,
    blame: 'job',
    permanent: true,
    means:
      'somebody put a socket, a pipe or a device into the path after it was built: remove it, then requeue the job',
  },
  {
    // all, nginx; 2.34.8 for the codes of S3
    pattern: /HTTP error 413\b|\bEntityTooLarge\b/,
    blame: 'job',
    permanent: true,
    means:
      'the destination refuses a file of this size: raise its limit (client_max_body_size of nginx) and requeue the job, or exclude such paths',
  },

  // What is said in so many words, and concerns everybody.
  {
    // 2.8.0, 2.26.3: Debian builds them without the AWS SDK
    pattern: /don't know how to open Nix store (?:with scheme 's3'|'s3:)/,
    blame: 'destination',
    means: "this Nix was built without S3 and can't upload there: use a Nix that can, or another way there",
  },
  {
    // all
    pattern:
      /don't know how to open Nix store|Cannot parse Nix store|URL using bad\/illegal format|Unsupported protocol/,
    blame: 'destination',
    means: 'Nix can do nothing with the URL of this destination: check its spelling and its port',
  },
  {
    // 2.8.0, 2.26.3 in the first form, 2.34.8 in the second
    pattern: /unknown compression method|option '[^']+' has invalid value/,
    blame: 'destination',
    means: 'a parameter in the URL of this destination has a value that Nix does not know: correct it',
  },
  {
    // all: a binary cache, or a store at the other end of ssh
    pattern: /is for Nix stores with prefix|is not in the Nix store/,
    blame: 'destination',
    means: "the destination is for another store directory than the one here: it can't take these paths",
  },
  {
    // all, whatever the server answered to the PUT of nix-cache-info (but S3 on 2.34.8 gives the answer)
    pattern: /does not appear to be a binary cache/,
    blame: 'destination',
    means:
      'there is no nix-cache-info, and the server did not take one: check the URL, the login (netrc-file), and that it accepts PUT and has room',
  },
  {
    // all (2.8.0 with "secret" before "key"); the last two where secret-key-file is a directory
    pattern:
      /\bkey is corrupt|secret key is not valid|invalid character in Base64 string|(?:reading from file|read of \d+ bytes): Is a directory/,
    blame: 'destination',
    means:
      'the signing key is malformed: secret-key-file must hold the secret half of a pair from nix-store --generate-binary-cache-key',
  },
  {
    // all: no other file is opened by its name but the signing key and what lies in the store
    pattern: /opening file ['"]([^'"]+)['"]: (?:No such file or directory|Permission denied)/,
    blame: 'destination',
    means:
      "a file that this destination needs can't be read (its secret-key-file?): check that it is there and that this user may read it",
  },
  {
    // all: 2.8.0 in the first form, 2.26.3 and 2.34.8 in the second; ssh-ng://, unix://, local?root=
    pattern: /cannot add path '([^']+)' because it lacks a (?:valid signature|signature by a trusted key)/,
    blame: 'destination',
    means:
      "the destination trusts no signature on the path: set secret-key-file, and list its public key in the destination's trusted-public-keys",
  },
  {
    // 2.8.0, of nix-daemon
    pattern: /you are not privileged to add signatures/,
    blame: 'destination',
    means:
      'nix-daemon lets trusted users only sign paths: add the user of this service to trusted-users in nix.conf',
  },
  {
    // all: logs and signatures to ssh://
    pattern: /not supported by store '/,
    blame: 'destination',
    means:
      "this kind of destination can't do that (ssh:// takes no logs and no later signatures, ssh-ng:// does)",
  },
  {
    // all
    pattern: /cannot connect to socket at '/,
    blame: 'destination',
    means:
      'nix-daemon does not answer at its socket: check systemctl status nix-daemon.socket nix-daemon.service',
  },
  {
    // all: as a user without rights, and without nix-daemon; first form 2.8.0, second 2.26.3 and 2.34.8
    pattern:
      /could not set permissions on '[^']+\/profiles\/per-user'|opening lock file ['"][^'"]+\/big-lock['"]: /,
    blame: 'destination',
    means:
      "Nix may not write to its own database (here, or at the other end of ssh): run as root or through nix-daemon, and check that the disk isn't read-only",
  },
  {
    // all
    pattern:
      /current Nix store schema is version|\/db\/schema['"] is corrupt|file is not a database|database disk image is malformed/,
    blame: 'destination',
    means:
      'the database of Nix is damaged or of a newer Nix (here, or at the other end of ssh): look into its file, named below',
  },

  // ssh, and how the connection failed.
  {
    // all, ssh
    pattern: /Host key verification failed/,
    blame: 'destination',
    means:
      'the host key of the destination is unknown or has changed: put the right one into known_hosts of the user that runs this',
  },
  {
    // all, ssh
    pattern:
      /Permission denied \([a-z,-]+\)|Permission denied, please try again|Too many authentication failures/,
    blame: 'destination',
    means:
      'the destination refuses the ssh login: check the user name and the key of the user that runs this, and authorized_keys there',
  },
  {
    // 2.8.0; 2.26.3, 2.34.8
    pattern: /unable to execute 'ssh'|Could not find executable 'ssh'/,
    blame: 'destination',
    means: 'there is no ssh on the PATH of this service: install the OpenSSH client, or add it to the PATH',
  },
  {
    // all, of the shell at the other end (bash; dash and zsh put it the other way round)
    pattern:
      /^-?(?:ba|da|k|z)?sh: .*(?:No such file or directory|not found)|command not found|account is currently not available/,
    blame: 'destination',
    means:
      "Nix can't be run at the other end of ssh: check that nix is on the PATH of that user, or set remote-program, and the login shell",
  },
  {
    // all
    pattern: /protocol mismatch/,
    blame: 'destination',
    means:
      "what answers over ssh is not Nix's protocol: the shell's start-up files there must print nothing, and the versions of Nix must fit",
  },
  {
    // 2.8.0; 2.26.3, 2.34.8; ssh
    pattern:
      /Couldn't connect to server|Could not connect to server|Connection refused|Network is unreachable|No route to host/,
    blame: 'destination',
    means:
      'the destination does not accept connections: check that it is up, its address and port, and the firewall',
  },
  {
    // 2.8.0; 2.26.3, 2.34.8; ssh
    pattern:
      /(?:Couldn't|Could not) resolve (?:host|proxy)|Name or service not known|Temporary failure in name resolution/,
    blame: 'destination',
    means:
      "the host name of the destination (or of the proxy) can't be resolved: check its spelling, the network and DNS",
  },
  {
    // all, curl 60 and 77
    pattern: /SSL peer certificate|SSL CA cert|certificate verification failed/,
    blame: 'destination',
    means:
      'the certificate of the destination is not trusted: check its dates and name, and the CA certificates here (NIX_SSL_CERT_FILE)',
  },
  {
    // all, curl 35
    pattern: /SSL connect error/,
    blame: 'destination',
    means: 'no TLS connection comes about: is it http:// rather than https://, or the wrong port?',
  },

  // How a server answered.
  {
    // 2.34.8, S3
    pattern: /\bNoSuchBucket\b/,
    blame: 'destination',
    means:
      'there is no such bucket: check its name, region and endpoint in the URL of this destination, or create it',
  },
  {
    // all (2.8.0 for PUT only: it takes these for "not there" in a GET)
    pattern: /HTTP error 40[13]\b/,
    blame: 'destination',
    means:
      'the destination refuses our credentials, or does not let them write: check the login (netrc-file, AWS keys) and its rights',
  },
  {
    // 2.26.3, 2.34.8
    pattern: /HTTP error 407\b/,
    blame: 'destination',
    means: 'a proxy on the way wants a login: check http_proxy and https_proxy of this service',
  },
  {
    // all, PUT
    pattern: /HTTP error 404\b/,
    blame: 'destination',
    means: 'the server knows no such place to upload to: check the path in the URL of this destination',
  },
  {
    // all: 405 to HEAD and PUT, 411 and 501 to PUT
    pattern: /HTTP error (?:405|411|501)\b/,
    blame: 'destination',
    means:
      'the server does not take uploads in this way: it must allow HEAD and PUT (dav_methods PUT in nginx)',
  },
  {
    // all
    pattern: /HTTP error 429\b/,
    blame: 'destination',
    means: 'the destination asks for fewer requests; nothing to do unless it stays so: then raise its limit',
  },
  {
    // all, nginx included: its 500 is what it says of a full disk
    pattern: /HTTP error 5\d\d\b/,
    blame: 'destination',
    means: 'the destination has trouble of its own (its disk may be full): look into the log of that server',
  },
  {
    // all
    pattern: /HTTP error 3\d\d\b/,
    blame: 'destination',
    means: 'the server sends us elsewhere, and not to an end: give the final URL as this destination',
  },

  // Disks and permissions, at a file:// destination, here, or at the other end of ssh.
  {
    // all; SQLite's words (an "I/O error" for the last kilobytes): ssh and local?root=, and Nix's own cache in TMPDIR
    pattern: /No space left on device|Disk quota exceeded|database or disk is full|disk I\/O error/,
    blame: 'destination',
    means:
      "a disk is full (or failing), the destination's or that of TMPDIR here, where Nix packs what it sends: make room",
  },
  {
    // all
    pattern: /Read-only file system/,
    blame: 'destination',
    means:
      'a file system is mounted read-only that must be written to: look for disk errors, mount it read-write',
  },
  {
    // all
    pattern: /Permission denied|Operation not permitted/,
    blame: 'destination',
    means:
      'permission denied: the user that runs this must be able to write to the destination: check owner and mode',
  },
  {
    // 2.8.0 in the second form
    pattern:
      /creating directory ['"][^'"]+['"]: (?:Not a directory|No such file or directory)|' is not a directory/,
    blame: 'destination',
    means: "the directory of the destination can't be made: check its path (is a file in the way?)",
  },

  // Symptoms. What caused them is often in the message before, so all rules above come first.
  {
    // all: connect-timeout, stalled-download-timeout
    pattern:
      /HTTP error 408\b|Timeout was reached|Operation too slow|Connection timed out|Operation timed out/,
    blame: 'destination',
    means:
      'the destination does not answer in time, or the upload stands still: check the network and the load there',
  },
  {
    // curl: all; 26 and 65 are 2.26.3, which can't send a path a second time; ssh: all
    pattern:
      /Server returned nothing|Failure when receiving data|Failed sending data|Failed to open\/read local data|rewinding of the data stream|Broken pipe|Connection (?:reset|closed) by|client_loop: /,
    blame: 'destination',
    means:
      'the connection broke off in the midst of it: check the network, and the log at the other end if it stays so',
  },
  {
    // ssh: all
    pattern:
      /failed to start SSH connection|cannot connect to '|cannot open connection to remote store|unexpected end-of-file|disconnected unexpectedly/,
    blame: 'destination',
    means: 'the connection to the destination failed: try it by hand with ssh, as the user that runs this',
  },
  {
    // Not seen here: Nix's own source, up to 2.32 built with the AWS SDK (as on NixOS).
    pattern: /AWS error \w+ '/,
    blame: 'destination',
    means:
      'S3 refuses: check the bucket, the region, the endpoint, and the AWS keys of the user that runs this',
  },
]
