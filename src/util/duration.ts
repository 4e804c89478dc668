/** Node's timers run for at most 24 days. A longer one would end at once. */
export const LONGEST_WAIT_MS = 14 * 24 * 3600_000

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Reads `"500ms"`, `"30s"`, `"5m"`, `"12h"` or `"7d"`; a bare number is seconds.
 * @returns Milliseconds, or undefined if it is no duration.
 */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return value >= 0 && Number.isFinite(value * 1000) ? value * 1000 : undefined
  if (typeof value !== 'string') return undefined
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(value.trim())
  const [, amount, unit] = match ?? []
  const factor = unit === undefined ? undefined : UNITS[unit]
  const ms = factor === undefined ? Number.NaN : Number(amount) * factor
  return Number.isFinite(ms) ? ms : undefined
}

/** A length of time for people, in its two largest units: `2d 3h`, `4m 10s`, `12s`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'm'],
    [seconds % 60, 's'],
  ]
  const first = parts.findIndex(([amount]) => amount > 0)
  if (first === -1) return '0s'
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0)
  return shown.map(([amount, unit]) => `${amount}${unit}`).join(' ')
}
