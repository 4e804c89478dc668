import { describe, expect, test } from 'vitest'
import { formatDuration, parseDuration } from '../../src/util/duration.ts'
import { formatSize, parseSize } from '../../src/util/size.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

describe('a duration', () => {
  test.each<[text: unknown, ms: number]>([
    ['500ms', 500],
    ['30s', 30 * SECOND],
    ['5m', 5 * MINUTE],
    ['12h', 12 * HOUR],
    ['7d', 7 * DAY],
    ['1.5h', 90 * MINUTE],
    ['0s', 0],
    [' 10 s ', 10 * SECOND],
    [30, 30 * SECOND],
    [0.5, 500],
    [0, 0],
  ])('%j is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  test.each([
    '',
    's',
    '30',
    '5 minutes',
    '5M',
    '-5s',
    '1h30m',
    '1e3s',
    '.5s',
    '5,5s',
    'Infinitys',
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    null,
    undefined,
    true,
    [],
    {},
    ['5s'],
  ])('%j is none', (text) => {
    expect(parseDuration(text)).toBeUndefined()
  })

  test.each<[ms: number, text: string]>([
    [0, '0s'],
    [-5, '0s'],
    [499, '0s'],
    [500, '1s'],
    [12 * SECOND, '12s'],
    [59.6 * SECOND, '1m'],
    [4 * MINUTE + 10 * SECOND, '4m 10s'],
    [5 * MINUTE, '5m'],
    [HOUR + 10 * SECOND, '1h'],
    [HOUR + 61 * SECOND, '1h 1m'],
    [2 * DAY + 3 * HOUR + 4 * MINUTE, '2d 3h'],
    [400 * DAY, '400d'],
  ])('%i ms is shown in its two largest units, %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })
})

describe('a size', () => {
  test.each<[text: unknown, bytes: number]>([
    ['500', 500],
    ['500B', 500],
    ['1K', 1000],
    ['500M', 500_000_000],
    ['2 GB', 2_000_000_000],
    ['1.5GiB', 1.5 * 1024 ** 3],
    ['2Gi', 2 * 1024 ** 3],
    ['1TiB', 1024 ** 4],
    [1234, 1234],
    [0, 0],
  ])('%j is %i bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  test.each(['', 'M', '-1M', '5 megabytes', '5m', '1e6', -1, Number.NaN, null, true, ['5M']])(
    '%j is none',
    (text) => {
      expect(parseSize(text)).toBeUndefined()
    },
  )

  test.each<[bytes: number, text: string]>([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [3_200_000, '3.2 MB'],
    [123_456_789, '123 MB'],
    [5e15, '5000 TB'],
  ])('%i bytes are shown as %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text)
  })
})
