/** One release of Nix to test with: `bin` holds `nix`, `nix-build`, `nix-store` and the rest. */
export interface NixVersion {
  /** `Nix 2.34.8`, `Lix 2.95.3` */
  name: string
  version: string
  isLix: boolean
  bin: string
}

/** Fetches Debian's releases that are not in the cache; `say` is told of each in one line. */
export function ensureNixVersions(say?: (line: string) => void): Promise<NixVersion[]>

/** Whether the slow files (vitest.config.ts) and one Nix of three are left to CI: see .ci/test.mjs. */
export const IS_SHORT: boolean

/**
 * Debian's releases, oldest first, in a short run without the one in the middle; throws when one can't be had. With
 * NIX_UPLOAD_TEST_ONLY, that one alone.
 */
export function nixVersions(): Promise<NixVersion[]>

/** Those and the ones in NIX_UPLOAD_TEST_NIX: for the tests that tell releases apart. */
export function everyNix(): Promise<NixVersion[]>

/** The release whose programs are in a directory. */
export function releaseAt(bin: string): Promise<NixVersion>

/** Whether a release was built with a client of S3's: Debian's older ones and Lix's were not. */
export function hasS3(version: NixVersion): boolean
