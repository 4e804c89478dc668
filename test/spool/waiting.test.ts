import { describe, expect, test } from 'vitest'
import { survey } from '../../src/spool/waiting.ts'
import { age, DELIVERED, GIVEN_UP, HOUR, jobText, put, tempSpool } from './temp-spool.ts'

const WAITING = { state: 'waiting', attempts: 0 } as const
const MINUTE = HOUR / 60

/** A name as the hook gives it to a job, so long ago. */
function named(ms: number, what: string): string {
  const stamp = new Date(Date.now() - ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')
  return `${stamp}Z-1b4e28ba2fa1-${what}.json`
}

/** Destinations by these names. */
const places = (...names: string[]) => names.map((name) => ({ name, to: '' }))

describe('what waits for a destination', () => {
  test('is everything in new/ and cur/, by age, where there is only one', () => {
    const { spool } = tempSpool()
    const ages = [0, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, 5 * HOUR, 23 * HOUR, 100 * HOUR, 1000 * HOUR]
    for (const [at, ms] of ages.entries())
      for (let i = 0; i <= at; i++) put(spool, 'new', named(ms, `${at}-${i}`))
    put(spool, 'cur', named(2 * MINUTE, 'claimed'))
    put(spool, 'done', named(0, 'done'))
    put(spool, 'failed', named(0, 'failed'))
    const waiting = survey(spool, places('s3')).waiting.get('s3')
    expect(waiting?.columns).toEqual([1, 3, 3, 4, 5, 6, 7, 8])
    expect(waiting).toMatchObject({ jobs: 37, isEstimate: false })
    expect(Date.now() - (waiting?.oldest?.getTime() ?? 0)).toBeCloseTo(1000 * HOUR, -4)
  })

  test('is told from the jobs’ files where there are several', () => {
    const { spool } = tempSpool()
    put(spool, 'new', 'fresh.json')
    put(spool, 'new', 'half.json', jobText('half', { destinations: { a: DELIVERED, b: WAITING } }))
    put(spool, 'new', 'requeued.json', jobText('requeued', { destinations: { a: DELIVERED, b: GIVEN_UP } }))
    put(spool, 'new', 'invalid.json', '{')
    put(spool, 'cur', 'claimed.json', jobText('claimed', { destinations: { b: DELIVERED } }))
    const { waiting } = survey(spool, places('a', 'b', 'c'))
    expect([...waiting].map(([name, { jobs }]) => [name, jobs])).toEqual([
      ['a', 3],
      ['b', 4],
      ['c', 5],
    ])
  })

  test('is estimated from a part of them where they are many, and says so', () => {
    const { spool } = tempSpool()
    for (let at = 0; at < 400; at++) {
      const destinations = at % 4 === 0 ? { a: WAITING, b: WAITING } : { a: DELIVERED, b: WAITING }
      const path = put(spool, 'new', `${at}.json`, jobText('hello', { destinations }))
      age(path, at < 200 ? 0 : 2 * HOUR)
    }
    const { waiting } = survey(spool, places('a', 'b'))
    expect(waiting.get('b')).toMatchObject({ jobs: 400, isEstimate: true })
    // 40 of 200 are read, of which 10 are expected to wait, give or take 2.5. Which ones are read, their names decide.
    expect(Math.abs((waiting.get('a')?.jobs ?? 0) - 100)).toBeLessThan(40)
    expect(survey(spool, places('a', 'b')).waiting.get('a')?.jobs).toBe(waiting.get('a')?.jobs)
  })

  test('names destinations that are not configured, and that jobs wait for', () => {
    const { spool } = tempSpool()
    put(spool, 'new', 'a.json', jobText('a', { destinations: { gone: { ...WAITING, to: 's3://gone' } } }))
    put(spool, 'new', 'b.json')
    const { waiting } = survey(spool, places('a'))
    expect(waiting.get('gone')).toMatchObject({ jobs: 1, place: { name: 'gone', to: 's3://gone' } })
    expect(waiting.get('a')?.jobs).toBe(2)
  })

  test('counts what was delivered to another place by the same name', () => {
    const { spool } = tempSpool()
    const destinations = { a: { ...DELIVERED, to: 'file:///old' }, b: WAITING }
    put(spool, 'new', 'a.json', jobText('a', { destinations }))
    const { waiting } = survey(spool, [{ name: 'a', to: 'file:///new' }, ...places('b')])
    expect(waiting.get('a')?.jobs).toBe(1)
  })

  test('counts those that failed by themselves and wait for another attempt', () => {
    const { spool } = tempSpool()
    const record = { state: 'waiting', attempts: 3, error: 'refused' }
    put(spool, 'cur', 'x.json', jobText('x', { destinations: { a: record, b: DELIVERED } }))
    put(spool, 'cur', 'y.json')
    const { waiting } = survey(spool, places('a', 'b'))
    expect(waiting.get('a')?.retrying).toEqual({ jobs: 1, error: 'refused' })
    expect(waiting.get('b')).toMatchObject({ jobs: 1, retrying: { jobs: 0 } })
  })
})
