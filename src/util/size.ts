const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
}

/**
 * Reads `"500M"`, `"2 GB"` or `"1.5GiB"`; a bare number is bytes.
 * @returns Bytes, or undefined if it is no size.
 */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === 'number') return value >= 0 && Number.isFinite(value) ? value : undefined
  if (typeof value !== 'string') return undefined
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?$/.exec(value.trim()) ?? []
  const factor = UNITS[unit]
  const bytes = factor === undefined ? Number.NaN : Math.round(Number(amount) * factor)
  return Number.isFinite(bytes) ? bytes : undefined
}

/** A size for people: `3.2 MB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3))
  const amount = bytes / 1000 ** power
  return `${amount >= 100 || power === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`
}
