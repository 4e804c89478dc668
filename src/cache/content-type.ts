const TYPES: readonly (readonly [RegExp, string])[] = [
  [/\.narinfo$/, 'text/x-nix-narinfo'],
  [/^nar\//, 'application/x-nix-nar'],
  [/^nix-cache-info$/, 'text/x-nix-cache-info'],
  [/\.ls$|\.doi$|^debuginfo\//, 'application/json'],
  [/^log\//, 'text/plain; charset=utf-8'],
]

/** The content type of a file of a binary cache, as Nix sets it. */
export function contentTypeOf(name: string): string {
  return TYPES.find(([pattern]) => pattern.test(name))?.[1] ?? 'application/octet-stream'
}
