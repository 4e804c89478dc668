// A stand-in for Nix, so that thousands of runs take minutes: scripts that take the arguments real Nix is given, refuse
// any they don't know, and note that. What is valid in "the store" is a list; what it was registered with is true, and
// its files are there (store.ts). The same points with real Nix: real-nix.test.ts.

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { closureOf, inStore } from './store.ts'

const REFUSE = `refuse() { printf 'stand-in: %s: unexpected arguments\\n' "$1" >&2; echo "$1" >>"$STAND_IN/unexpected"; exit 1; }`

const NIX_STORE = `#!/bin/sh
${REFUSE}
case "\${1-} \${2-}" in
  '--serve '*) exec perl "$STAND_IN/serve.pl" ;;
  '--query --outputs') [ $# = 3 ] || refuse "nix-store $*" ;;
  *) refuse "nix-store $*" ;;
esac
if [ ! -e "$STAND_IN/outputs/\${3##*/}" ]; then
  printf "error: path '%s' is not valid\\n" "$3" >&2
  exit 1
fi
while read -r path; do printf '%s\\n' "$path"; done <"$STAND_IN/outputs/\${3##*/}"
`

/** Nothing but the store is asked of Nix. */
const NIX = `#!/bin/sh
${REFUSE}
refuse "nix $*"
`

/** nix: src/libstore/serve-protocol-impl.hh; what is known of a path is a line in a file. */
const SERVE = `use strict;
binmode STDIN;
binmode STDOUT;
$| = 1;
sub number { read(STDIN, my $bytes, 8) == 8 or exit 0; return unpack 'Q<', $bytes }
sub text {
  my $length = number();
  read STDIN, my $bytes, $length + (-$length % 8);
  return substr $bytes, 0, $length;
}
sub say_number { print pack 'Q<', $_[0] }
sub say_text { say_number(length $_[0]); print $_[0], "\\0" x (-length($_[0]) % 8) }
number();
say_number(0x5452eecb);
say_number(0x205);
number();
while (1) {
  die "unexpected question" unless number() == 2;
  for my $path (map { text() } 1 .. number()) {
    next unless $path =~ m{([^/]+)$} && open my $file, '<', "$ENV{STAND_IN}/valid/$1";
    my ($hash, $size, @references) = split ' ', <$file>;
    say_text($path);
    say_text('');
    say_number(scalar @references);
    say_text($_) for @references;
    say_number($size) for 1 .. 2;
    say_text($hash);
    say_text('');
    say_number(0);
  }
  say_text('');
}
`

/** Puts `nix` and `nix-store` into `dir`/bin, and what they know of beside it; returns what to add to the environment. */
export function makeStandIn(
  dir: string,
  valid: readonly string[],
  outputs: Readonly<Record<string, string[]>>,
): { bin: string; env: { STAND_IN: string } } {
  const bin = join(dir, 'bin')
  const state = join(dir, 'stand-in')
  for (const path of [bin, state, join(state, 'valid'), join(state, 'outputs')]) mkdirSync(path)
  for (const path of valid) makeValid(dir, path)
  for (const [drvPath, paths] of Object.entries(outputs)) {
    writeFileSync(join(state, 'outputs', basename(drvPath)), `${paths.join('\n')}\n`)
  }
  writeFileSync(join(state, 'serve.pl'), SERVE)
  for (const [name, script] of Object.entries({ nix: NIX, 'nix-store': NIX_STORE })) {
    writeFileSync(join(bin, name), script)
    chmodSync(join(bin, name), 0o755)
  }
  return { bin, env: { STAND_IN: state } }
}

/** Has a path in the store and makes it valid, with what it refers to. */
export function makeValid(dir: string, path: string): void {
  for (const each of closureOf(path)) {
    const { narHash, narSize, references } = inStore(each)
    const known = `${[narHash, narSize, ...references].join(' ')}\n`
    writeFileSync(join(dir, 'stand-in/valid', basename(each)), known)
  }
}
