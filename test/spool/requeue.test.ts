import { describe, expect, test } from 'vitest'
import { isSettled, startAfresh } from '../../src/spool/job.ts'
import { formatJob, parseJob } from '../../src/spool/job-file.ts'
import { claimIt, DELIVERED, GIVEN_UP, jobText, put, STORE, tempSpool } from './temp-spool.ts'

const WAITING = { state: 'waiting', attempts: 2, error: 'reset' } as const
const parse = (text: string) => parseJob(Buffer.from(text), STORE)

describe('a requeued job is known by its content', () => {
  test.each([
    { what: 'nothing has happened to it', destinations: {}, settled: false },
    { what: 'it waits', destinations: { s3: WAITING }, settled: false },
    { what: 'it waits for one of two', destinations: { s3: WAITING, ssh: GIVEN_UP }, settled: false },
    { what: 'it is delivered', destinations: { s3: DELIVERED }, settled: true },
    { what: 'nobody wanted it', destinations: { s3: { state: 'skipped', attempts: 0 } }, settled: true },
    { what: 'it is given up at one of two', destinations: { s3: DELIVERED, ssh: GIVEN_UP }, settled: true },
  ])('where $what: $settled', ({ destinations, settled }) => {
    expect(isSettled(parse(jobText('hello', { destinations })))).toBe(settled)
  })

  test('starts afresh only where it failed, and keeps when it was requeued', () => {
    const skipped = { state: 'skipped', attempts: 0 }
    const destinations = { s3: GIVEN_UP, ssh: DELIVERED, local: skipped }
    const job = startAfresh(
      parse(jobText('hello', { destinations, note: 1 })),
      new Date('2026-11-23T00:00:00Z'),
    )
    expect(job.destinations).toEqual({ ssh: DELIVERED, local: skipped })
    expect(job.history).toEqual([{ requeuedAt: '2026-11-23T00:00:00.000Z', destinations }])
    expect(formatJob(job)).toContain('"note": 1')
  })
})

describe('T8, T2: a requeued job', () => {
  test.each([
    { what: 'given up', before: { s3: GIVEN_UP }, after: {} },
    { what: 'delivered', before: { s3: DELIVERED }, after: {} },
    {
      what: 'delivered here and given up there',
      before: { s3: GIVEN_UP, ssh: DELIVERED },
      after: { ssh: DELIVERED },
    },
  ])('that was $what starts afresh and keeps what it went through', ({ before, after }) => {
    const temp = tempSpool()
    const history = [{ requeuedAt: '2026-11-20T00:00:00Z', destinations: { s3: GIVEN_UP } }]
    put(temp.spool, 'new', 'X.json', jobText('hello', { destinations: before, history }))
    const { job } = claimIt(temp, 'X.json')
    expect(job.destinations).toEqual(after)
    expect(job.history).toEqual([...history, { requeuedAt: expect.any(String), destinations: before }])
  })

  test('that still waited for a destination keeps what it has, its spent attempts too', () => {
    const temp = tempSpool()
    const destinations = { s3: DELIVERED, ssh: { state: 'waiting', attempts: 3 } }
    put(temp.spool, 'new', 'X.json', jobText('hello', { destinations }))
    expect(claimIt(temp, 'X.json').job).toMatchObject({ destinations, history: [] })
  })
})
