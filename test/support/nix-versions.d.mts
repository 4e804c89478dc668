/** One release of Nix to test with: `bin` holds `nix`, `nix-build`, `nix-store` and the rest. */
export interface NixVersion {
  version: string
  suite: string
  bin: string
}

/** Fetches the releases that are not in the cache; `say` is told of each in one line. */
export function ensureNixVersions(say?: (line: string) => void): Promise<NixVersion[]>

/** The releases to test with, oldest first; throws when one can't be had. */
export function nixVersions(): Promise<NixVersion[]>
