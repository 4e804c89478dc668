/**
 * A sentence of Nix's that means something to us, and who of the Nixes that we test says it so: `all`, or some of 2.8, 2.26,
 * 2.34, 2.35 and Lix. The pattern is for text without colours and quotes, and no pattern looks at capitals: in those three
 * the same sentence differs from one Nix to the next.
 */
export type Saying = readonly [by: string, pattern: RegExp]

/** Without quotes of any kind. */
export function plain(text: string): string {
  return text.replaceAll(/['"`‘’“”]/gu, '')
}

/**
 * Looks for a sentence in a message of Nix's. Only for what neither an exit code nor the store nor the disk can tell.
 * @param message As `messagesOf` gives it, without colours.
 */
export function findSaying(sayings: readonly Saying[], message: string): RegExpExecArray | undefined {
  const text = plain(message)
  for (const [, pattern] of sayings) {
    const match = pattern.exec(text)
    if (match) return match
  }
  return undefined
}

/** A store path without what is below it or around it: `//store/HASH-NAME/bin/x` and the like. */
export function storePathIn(text: string | undefined): string | undefined {
  const [, path] = /^\/*(\/.*?\/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]+)/.exec(text ?? '') ?? []
  return path
}

/** nix-daemon does not take our hook. Newer ones say outright whether they trust us. */
export const IGNORES_HOOK: readonly Saying[] = [
  // 2.8 says it among its debugging messages only.
  ['all', /ignoring the client-specified setting post-build-hook/i],
]

/** Nix was built without S3. */
export const NO_S3: readonly Saying[] = [
  ['2.8 2.26 Lix', /don.?t know how to open Nix store (?:with scheme )?s3/i],
]
