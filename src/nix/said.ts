/**
 * A message of Nix that we recognise, and the tested releases that print it in this form: `all`, or some of 2.8, 2.26,
 * 2.34, 2.35 and Lix. The pattern is for text without colours and quotes, and ignores case: in these three
 * things the same message differs between releases.
 */
export type Saying = readonly [by: string, pattern: RegExp]

/** Without quotes of any kind. */
export function plain(text: string): string {
  return text.replaceAll(/['"`‘’“”]/gu, '')
}

/**
 * Looks for a sentence in a message of Nix. Use it only if no exit code, store or disk can tell.
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

/** nix-daemon does not accept our hook. Newer releases say directly whether they trust us. */
export const IGNORES_HOOK: readonly Saying[] = [
  // 2.8 prints it only among its debugging messages.
  ['all', /ignoring the client-specified setting post-build-hook/i],
]

/** Nix was built without S3. */
export const NO_S3: readonly Saying[] = [
  ['2.8 2.26 Lix', /don.?t know how to open Nix store (?:with scheme )?s3/i],
]

/** Nix lacks the outputs of a derivation, and may not build it. Newer releases name the derivation, too. */
export const WOULD_BUILD: readonly Saying[] = [['2.8 2.26', /unable to start any build/i]]
