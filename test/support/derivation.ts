// Nix expressions for the tests, without nixpkgs: /bin/sh is the builder and the output is a text file.

import { randomUUID } from 'node:crypto'

/** What a test wants built. Everything but the name has a default. */
export interface Derivation {
  name: string
  /** What the outputs refer to at run time: other derivations, or store paths that are there already. */
  deps?: (Derivation | string)[]
  /** The first is the default output; each of the others refers to it. */
  outputs?: string[]
  /** The text in every output. */
  content?: string
  /** Random bytes added to the first output, which therefore differs each time it is built. */
  sizeBytes?: number
  /** Makes it a derivation that was never built before. */
  unique?: boolean
}

/** The Nix expression for a derivation; a string is taken for an expression already. */
export function expressionFor(what: Derivation | string): string {
  if (typeof what === 'string') return what
  const deps = (what.deps ?? []).map((dep) =>
    typeof dep === 'string' ? `(builtins.storePath ${nixString(dep)})` : `(${expressionFor(dep)})`,
  )
  const outputs = what.outputs ?? ['out']
  const random = what.sizeBytes ? `head -c ${what.sizeBytes} /dev/urandom >> "$first"` : ':'
  // A builder's PATH is empty. The paths are written into the file because that is how Nix finds references.
  const script = `
    PATH=/usr/local/bin:/usr/bin:/bin
    first=
    for output in $outputs; do
      eval "path=\\$$output"
      printf '%s\\n' "$content" "$output of $name" $deps $first > "$path" || exit 1
      first=\${first:-$path}
    done
    ${random}`
  return `derivation {
  name = ${nixString(what.name)};
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" ${nixString(script)} ];
  outputs = [ ${outputs.map(nixString).join(' ')} ];
  content = ${nixString(what.content ?? what.name)};
  deps = [ ${deps.join(' ')} ];
  unique = ${nixString(what.unique ? randomUUID() : '')};
}`
}

/** An expression for all outputs of all derivations in `expression`, be it one derivation or a list. */
export function allOutputs(expression: string): string {
  return `let x = (${expression}); in if builtins.isList x then builtins.concatMap (d: d.all) x else x.all`
}

/** A Nix string literal. JSON's would not do: Nix knows fewer escapes, and expands what is in \${…}. */
function nixString(text: string): string {
  return `"${text.replace(/["\\$]/g, '\\$&')}"`
}
