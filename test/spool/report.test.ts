import { mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isPaused, pause, resume } from '../../src/spool/pause.ts'
import { type Report, readReport, writeReport } from '../../src/spool/report.ts'
import { tempSpool, tree } from './temp-spool.ts'

const REPORT: Report = {
  pid: 4711,
  identity: 'boot pid:[4026531836] 4711 12345',
  lock: '99 1700000000000',
  startedAt: '2026-11-22T03:14:02.000Z',
  destinations: {
    s3: { to: 's3://c', state: 'down', failures: 3, lastError: 'no', nextAttemptAt: '2026-11-22T03:15:00Z' },
    ssh: { to: 'ssh://host', state: 'ok', failures: 0 },
    local: { to: 'local?root=/mnt', state: 'unknown', failures: 0 },
  },
}

describe('the report, daemon.json', () => {
  test('is read as it was written, replaces the one before, and leaves nothing in tmp/', () => {
    const { spool } = tempSpool()
    writeReport(spool, { ...REPORT, pid: 1 })
    writeReport(spool, REPORT)
    expect(readReport(spool)).toEqual(REPORT)
    expect(tree(spool)).toEqual({})
  })

  test('is none where there is none', () => {
    expect(readReport(tempSpool().spool)).toBeUndefined()
  })

  test.each([
    { what: 'nothing', text: '' },
    { what: 'NUL bytes', text: '\0\0\0' },
    { what: 'half of it', text: JSON.stringify(REPORT).slice(0, 90) },
    { what: 'null', text: 'null' },
    { what: 'an array', text: '[]' },
    { what: 'another program’s', text: '{"pid":"4711","destinations":{}}' },
    { what: 'no destinations', text: '{"pid":4711}' },
    { what: 'destinations that are a list', text: '{"pid":4711,"destinations":[]}' },
  ])('is none where it makes no sense: $what', ({ text }) => {
    const { spool } = tempSpool()
    writeFileSync(spool.reportFile, text)
    expect(readReport(spool)).toBeUndefined()
  })

  test('is read as far as it makes sense', () => {
    const { spool } = tempSpool()
    const destinations = {
      a: null,
      b: { to: 5, state: 'great', failures: 'many', lastError: {}, nextAttemptAt: 5 },
    }
    writeFileSync(spool.reportFile, JSON.stringify({ pid: 4711, destinations }))
    const unknown = { to: '', state: 'unknown', failures: 0 }
    expect(readReport(spool)).toMatchObject({ pid: 4711, destinations: { a: unknown, b: unknown } })
  })
})

describe('paused in the spool’s root', () => {
  test('is what pause and resume do', () => {
    const { spool } = tempSpool()
    expect(isPaused(spool)).toBe(false)
    pause(spool)
    pause(spool)
    expect(isPaused(spool)).toBe(true)
    expect(resume(spool)).toBe(true)
    expect(resume(spool)).toBe(false)
    expect(isPaused(spool)).toBe(false)
  })

  test('pauses by being there, whoever made it and whatever it is', () => {
    const { spool } = tempSpool()
    const file = join(spool.root, 'paused')
    writeFileSync(file, 'back on Monday')
    pause(spool)
    expect(isPaused(spool)).toBe(true)
    resume(spool)
    mkdirSync(file)
    expect(isPaused(spool)).toBe(true)
    rmdirSync(file)
    expect(isPaused(spool)).toBe(false)
  })

  test('and paused.NAME pauses one destination, each for itself', () => {
    const { spool } = tempSpool()
    pause(spool, 's3')
    expect(readdirSync(spool.root)).toContain('paused.s3')
    expect([isPaused(spool), isPaused(spool, 's3'), isPaused(spool, 'ssh')]).toEqual([false, true, false])
    pause(spool)
    expect(resume(spool, 's3')).toBe(true)
    expect([isPaused(spool), isPaused(spool, 's3')]).toEqual([true, false])
  })
})

test("a report that can't be put in its place leaves nothing in tmp/", () => {
  const { spool } = tempSpool()
  mkdirSync(spool.reportFile)
  expect(() => writeReport(spool, REPORT)).toThrow('EISDIR')
  expect(tree(spool)).toEqual({})
})
