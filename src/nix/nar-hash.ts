/** The alphabet of Nix's base 32 (nix: src/libutil/hash.cc). */
const DIGITS = '0123456789abcdfghijklmnpqrsvwxyz'
/** How long a SHA-256 is in it. */
const BASE32_LENGTH = 52
const BASE32 = /^sha256:[0-9a-df-np-sv-z]{52}$/
const HEX = /^[0-9a-f]{64}$/

/**
 * The hash of a NAR as a narinfo has it, and as signatures cover it: `sha256:` and base 32.
 * @param text As any Nix writes it: `sha256-BASE64`, or `sha256:` with base 32, hexadecimal digits or base 64.
 * @returns undefined if it is no SHA-256.
 */
export function narHashOf(text: string): string | undefined {
  if (BASE32.test(text)) return text
  const [, digits] = /^sha256[:-](.+)$/.exec(text) ?? []
  if (digits === undefined) return undefined
  const bytes = Buffer.from(digits, HEX.test(digits) ? 'hex' : 'base64')
  return bytes.length === 32 ? `sha256:${base32(bytes)}` : undefined
}

/** A SHA-256 as a narinfo has it: `sha256:` and base 32. */
export function hashText(digest: Buffer): string {
  return `sha256:${base32(digest)}`
}

/** Five bits a digit, the last ones first. */
function base32(bytes: Buffer): string {
  let text = ''
  for (let at = BASE32_LENGTH - 1; at >= 0; at--) {
    const [byte, shift] = [Math.floor((at * 5) / 8), (at * 5) % 8]
    const low = (bytes[byte] ?? 0) >> shift
    const high = (bytes[byte + 1] ?? 0) << (8 - shift)
    text += DIGITS[(low | high) & 31]
  }
  return text
}
