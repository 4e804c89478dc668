/**
 * A hash of a name, 53 bits (FNV-1a, twice); the upper bits depend on the whole name. Between a million names and another
 * million, the chance of a collision is one in ten thousand.
 */
export function fingerprint(name: string): number {
  let low = 0x811c9dc5
  let high = 0x01234567
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    low = Math.imul(low ^ code, 0x01000193)
    high = Math.imul(high ^ code, 0x85ebca6b)
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0)
}
