// A stand-in for Nix, so that thousands of runs take minutes: two scripts that take the arguments real Nix is
// given, refuse any they don't know, and keep an honest record. A path is at the destination when its NAR and then
// its narinfo are there, each renamed into place, as with the file:// cache of real Nix; so the same question asks
// both. What is valid in "the store" is a list. The same points with real Nix: real-nix.test.ts.

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const COMMON = `set -uf
store=$NIX_STORE_DIR
fail() { printf 'error: %s\\n' "$1" >&2; exit 1; }
refuse() { printf 'stand-in: %s: unexpected arguments\\n' "$1" >&2; echo "$1" >>"$STAND_IN/unexpected"; exit 1; }
is_path() {
  case $1 in
    "$store"/????????????????????????????????-*) ;;
    *) fail "path '$1' is not in the Nix store" ;;
  esac
}
take_options() { # sets $paths; what is behind the paths are options of two words each
  paths=''
  while [ $# -gt 0 ]; do
    case $1 in
      --option) [ $# -ge 3 ] || refuse "$*"; shift 3 ;;
      -*) refuse "$*" ;;
      *) is_path "$1"; paths="$paths $1"; shift ;;
    esac
  done
  [ -n "$paths" ] || refuse 'no paths'
}
`

const NIX_STORE = `#!/bin/sh
${COMMON}
url=''
if [ "\${1-}" = --store ]; then url=$2; shift 2; fi
case "\${1-} \${2-}" in
  '--check-validity --print-invalid')
    shift 2
    take_options "$@"
    for path in $paths; do
      if [ -n "$url" ]; then
        base=\${path##*/}
        [ -e "\${url#file://}/\${base%%-*}.narinfo" ] || printf '%s\\n' "$path"
      else
        [ -e "$STAND_IN/valid/\${path##*/}" ] || printf '%s\\n' "$path"
      fi
    done ;;
  '--query --outputs')
    is_path "$3"
    [ $# = 3 ] && [ -e "$STAND_IN/outputs/\${3##*/}" ] || fail "path '$3' is not valid"
    while read -r path; do printf '%s\\n' "$path"; done <"$STAND_IN/outputs/\${3##*/}" ;;
  '--serve '*) exec perl "$STAND_IN/serve.pl" ;;
  '--verify-path '*)
    shift
    take_options "$@"
    for path in $paths; do
      [ -e "$STAND_IN/valid/\${path##*/}" ] || fail "path '$path' is not valid"
    done ;;
  *) refuse "nix-store $*" ;;
esac
`

/** What is valid refers to nothing, and is too large for its content to be read by who asks. */
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
    next unless $path =~ m{([^/]+)$} && -e "$ENV{STAND_IN}/valid/$1";
    say_text($path);
    say_text('');
    say_number(0);
    say_number(1e9) for 1 .. 2;
    say_text('sha256:' . '0' x 52);
    say_text('');
    say_number(0);
  }
  say_text('');
}
`

const NIX = `#!/bin/sh
${COMMON}
[ "\${1-} \${2-} \${3-} \${4-} \${5-} \${6-}" = '--extra-experimental-features nix-command --log-format internal-json copy --to' ] ||
  refuse "nix $*"
case $7 in
  file:///*) cache=\${7#file://}; cache=\${cache%%\\?*} ;;
  *) refuse "nix $*" ;;
esac
shift 7
take_options "$@"
[ ! -e "$STAND_IN/down" ] || fail "unable to upload: HTTP error 503 ('')"
for path in $paths; do
  [ -e "$STAND_IN/valid/\${path##*/}" ] ||
    fail "path '$path' is required, but there is no substituter that can build it"
  case $path in
    *-refused) fail "cannot add '$path' to the binary cache because the reference '$store/x' is not valid" ;;
  esac
done
mkdir -p "$cache/nar" || exit 1
for path in $paths; do
  base=\${path##*/}
  hash=\${base%%-*}
  [ ! -e "$cache/$hash.narinfo" ] || continue
  echo "$path" >"$cache/nar/.$hash.$$" && mv "$cache/nar/.$hash.$$" "$cache/nar/$hash.nar" || exit 1
  printf 'StorePath: %s\\nURL: nar/%s.nar\\n' "$path" "$hash" >"$cache/.$hash.$$" &&
    mv "$cache/.$hash.$$" "$cache/$hash.narinfo" || exit 1
done
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
  for (const path of valid) writeFileSync(join(state, 'valid', basename(path)), '')
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
