/**
 * Stands for a name: a hash of 53 bits (FNV-1a, twice), of which the upper ones depend on all of the name. That one of a
 * million names has the same as one of another million is a chance of one in ten thousand.
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
