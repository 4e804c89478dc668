import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatJob, MAX_JOB_BYTES, parseJob } from '../../src/spool/job-file.ts'
import { DELIVERED, GIVEN_UP, jobText, STORE, storePath } from './temp-spool.ts'

const OURS = new Set(['version', 'drvPath', 'outPaths', 'queuedAt', 'destinations', 'history'])
const WAITING = { state: 'waiting', attempts: 2, error: 'reset' } as const

const parse = (text: string) => parseJob(Buffer.from(text), STORE)
const rewritten = (text: string) => formatJob(parse(text))

describe('T3: a job that is written back', () => {
  test('is indented for `cat`, and says the same', () => {
    const destinations = { s3: DELIVERED, ssh: WAITING }
    const drvPath = storePath('hello.drv')
    const written = rewritten(jobText('hello', { drvPath, destinations }))
    expect(written).toBe(
      `${JSON.stringify(
        {
          version: 1,
          outPaths: [storePath('hello')],
          queuedAt: '2026-11-22T03:14:02Z',
          drvPath,
          destinations,
        },
        null,
        2,
      )}\n`,
    )
    expect(rewritten(written)).toBe(written)
  })

  test('keeps every key that is not ours, whatever it is called and whatever it holds', () => {
    const foreign = fc
      .dictionary(
        fc.string().filter((key) => !OURS.has(key)),
        fc.jsonValue({ maxDepth: 4, noUnicodeString: false }),
      )
      .map((extra) => JSON.stringify(extra))
    fc.assert(
      fc.property(foreign, (extra) => {
        const own = `"outPaths":["${storePath('hello')}"]`
        const written = rewritten(extra === '{}' ? `{${own}}` : `${extra.slice(0, -1)},${own}}`)
        const { outPaths: _, destinations: __, ...kept } = JSON.parse(written)
        expect(kept).toEqual(JSON.parse(extra))
      }),
    )
  })

  test('keeps __proto__, constructor and the like as the plain keys they are', () => {
    const text = `{"outPaths":["${storePath('hello')}"],"__proto__":{"isAdmin":true},"constructor":1,"destinations":{"__proto__":{"state":"done","attempts":0}}}`
    const job = parse(text)
    expect(Object.getPrototypeOf(job.raw)).toBe(Object.prototype)
    expect(Object.getPrototypeOf(job.destinations)).toBe(Object.prototype)
    expect(formatJob(job)).toContain('"__proto__": {\n    "isAdmin": true\n  }')
    expect(formatJob(job)).toContain('"constructor": 1')
    expect(parse(formatJob(job)).destinations).toEqual(job.destinations)
    expect(Object.hasOwn({}, 'isAdmin') || 'isAdmin' in {}).toBe(false)
  })

  test('is read again however large it was and whatever is added: errors are cut', () => {
    const text = jobText('hello', { mine: '' })
    const full = text.replace('"mine":""', `"mine":"${'x'.repeat(MAX_JOB_BYTES - text.length)}"`)
    expect(Buffer.byteLength(full)).toBe(MAX_JOB_BYTES)
    const job = parse(full)
    job.destinations = { s3: { ...GIVEN_UP, error: 'e'.repeat(MAX_JOB_BYTES) } }
    const [record] = Object.values(parse(formatJob(job)).destinations)
    expect(record?.error).toMatch(/^e{500}…$/)
  })

  test('shows nothing that a terminal obeys', () => {
    const written = rewritten(jobText('hello', { mine: '\u009b2J\u202e\u2028\u{e0001}' }))
    expect(written.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    expect(JSON.parse(written).mine).toBe('\u009b2J\u202e\u2028\u{e0001}')
  })

  test('keeps the last 20 rounds of its history', () => {
    const rounds = Array.from({ length: 25 }, (_, at) => ({
      requeuedAt: `${at}`,
      destinations: { s3: GIVEN_UP },
    }))
    const { history } = parse(rewritten(jobText('hello', { history: rounds })))
    expect(history).toEqual(rounds.slice(5))
  })

  test.each([
    {
      what: 'a thousand outputs',
      more: { outPaths: Array.from({ length: 1000 }, (_, at) => storePath(`out-${at}`)) },
    },
    { what: 'many short lines', more: { notes: Array(150_000).fill([]) } },
    {
      what: 'long errors of many rounds',
      more: {
        history: Array(18).fill({
          requeuedAt: 'x',
          destinations: { s3: { ...GIVEN_UP, error: 'e'.repeat(50_000) } },
        }),
      },
    },
  ])('can be read again, however large it was: $what', ({ more }) => {
    const job = parse(jobText('hello', more))
    const destinations = { s3: { ...GIVEN_UP, error: 'e'.repeat(200_000) } }
    const written = formatJob({ ...job, destinations })
    expect(Buffer.byteLength(written)).toBeLessThanOrEqual(MAX_JOB_BYTES)
    expect(parse(written)).toMatchObject({ outPaths: job.outPaths, destinations })
  })
})

describe('what the daemon wrote into it', () => {
  test.each([
    { what: 'no object', destinations: [DELIVERED], kept: {} },
    { what: 'no records', destinations: { a: null, b: 'done', c: {}, d: { state: 'doing' } }, kept: {} },
    {
      what: 'a count below zero',
      destinations: { s3: { state: 'waiting', attempts: -1 } },
      kept: { s3: { state: 'waiting', attempts: 0 } },
    },
    {
      what: 'a count that is none',
      destinations: { s3: { state: 'waiting', attempts: '7' } },
      kept: { s3: { state: 'waiting', attempts: 0 } },
    },
    {
      what: 'an error that is no text',
      destinations: { s3: { ...DELIVERED, error: {} } },
      kept: { s3: DELIVERED },
    },
  ])('that makes no sense is as if it had not been written: $what', ({ destinations, kept }) => {
    expect(parse(jobText('hello', { destinations })).destinations).toEqual(kept)
  })

  test.each([[{}], ['x'], [[{ requeuedAt: 5 }, null]]])('history %o is passed over', (history) => {
    expect(parse(jobText('hello', { history })).history).toEqual([])
  })
})
