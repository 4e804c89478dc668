// A closure in which order matters.

/** A Nix expression for derivations in layers of `each`: every one refers to two of the layer below. Asks for the last layer. */
export function layersOf(count: number, each: number): string {
  const names = Array.from({ length: count * each }, (_, at) => at)
  const definitions = names.map((at) => {
    const below = at < each ? [] : [at - each, Math.floor(at / each - 1) * each + ((at + 1) % each)]
    return `p${at} = d "p${at}" [ ${below.map((one) => `p${one}`).join(' ')} ];`
  })
  return `let
    d = name: deps: derivation {
      inherit name deps;
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [ "-c" "echo $name $deps > $out" ];
    };
    ${definitions.join('\n')}
  in [ ${names.slice(-each).map((at) => `p${at}`)} ]`.replaceAll(',', ' ')
}
