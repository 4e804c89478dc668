import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { reject } from '../../src/spool/settle.ts'
import { count, findJob, jobsIn, lastNames } from '../../src/spool/survey.ts'
import { UserError } from '../../src/util/user-error.ts'
import { age, GIVEN_UP, HOUR, jobText, put, storePath, tempSpool } from './temp-spool.ts'

const HOOK_NAME = '20261122T031402Z-1b4e28ba2fa1-hello-2.12.1.json'

describe('the last names of a state', () => {
  function full() {
    const { spool } = tempSpool()
    for (let at = 0; at < 95; at++) put(spool, 'done', `${(at * 7) % 95}`.padStart(2, '0'))
    return spool
  }

  test('are those that come last in order, whatever order they lie in', () => {
    const spool = full()
    expect(lastNames(spool, 'done', 3)).toEqual({ names: ['92', '93', '94'], isAll: true })
    expect(lastNames(spool, 'done', 200).names).toHaveLength(95)
    expect(lastNames(spool, 'failed', 3)).toEqual({ names: [], isAll: true })
  })

  test('are of no more names than may be looked at, and it is said that there are more', () => {
    const spool = full()
    expect(lastNames(spool, 'done', 95, 95).isAll).toBe(true)
    const { names, isAll } = lastNames(spool, 'done', 95, 94)
    expect([names.length, isAll]).toEqual([94, false])
  })
})

describe('counting the jobs in a state', () => {
  test('an empty state has none, and no oldest', () => {
    const { jobs, oldest } = count(tempSpool().spool, 'new')
    expect([jobs, oldest]).toEqual([0, undefined])
  })

  test('takes the age of jobs from the names that the hook gives them, whatever their time on disk', () => {
    const { spool } = tempSpool()
    put(spool, 'cur', HOOK_NAME)
    put(spool, 'cur', HOOK_NAME.replace('T03', 'T04'))
    expect(count(spool, 'cur')).toMatchObject({ jobs: 2, oldest: new Date('2026-11-22T03:14:02Z') })
  })

  test.each([
    'by-hand.json',
    '20261122-hello.json',
    '99999999T999999Z-hello.json',
    '00000000T000000Z-hello.json',
  ])('and from their time on disk where the name has none: %s', (name) => {
    const { spool } = tempSpool()
    age(put(spool, 'failed', name), 5 * HOUR)
    age(put(spool, 'failed', 'later.json'), HOUR)
    const { jobs, oldest } = count(spool, 'failed')
    expect(jobs).toBe(2)
    expect(Date.now() - (oldest?.getTime() ?? 0)).toBeCloseTo(5 * HOUR, -4)
  })

  test('the oldest is the oldest of both kinds', () => {
    const { spool } = tempSpool()
    put(spool, 'new', HOOK_NAME)
    put(spool, 'new', '00000000T000000Z-nonsense.json')
    expect(count(spool, 'new').oldest).toEqual(new Date('2026-11-22T03:14:02Z'))
    age(put(spool, 'new', 'by-hand.json'), Date.now() - Date.parse('2020-01-01T00:00:00Z'))
    expect(count(spool, 'new').oldest?.getUTCFullYear()).toBe(2020)
  })

  test('counts what a job may be: no dotfiles and no notes', () => {
    const { spool } = tempSpool()
    for (const name of ['X.json', 'X.json.reason', '.hidden', 'no ending']) put(spool, 'failed', name)
    expect(count(spool, 'failed').jobs).toBe(2)
  })
})

describe('looking at jobs', () => {
  test('gives each with its state, valid or not, in the order of the states asked for', () => {
    const { spool } = tempSpool()
    put(spool, 'done', 'D.json')
    put(spool, 'new', 'N.json', '{')
    put(spool, 'failed', 'F.json', jobText('hello', { destinations: { s3: GIVEN_UP } }))
    expect([...jobsIn(spool, ['failed', 'new'])]).toEqual([
      { name: 'F.json', state: 'failed', path: join(spool.failed, 'F.json'), job: expect.anything() },
      {
        name: 'N.json',
        state: 'new',
        path: join(spool.new, 'N.json'),
        reason: expect.stringMatching(/JSON/),
      },
    ])
  })

  test('S6: gives the first line of the note on what was rejected', () => {
    const { spool } = tempSpool()
    put(spool, 'new', 'X.json', '{')
    reject(spool, 'X.json', 'it is not JSON: at all')
    const [found] = jobsIn(spool, ['failed'])
    expect(found).toMatchObject({ name: 'X.json', reason: 'X.json is no valid job: it is not JSON: at all.' })
  })

  test('S6: does so where it was rejected for a store that is not ours, which can’t be seen from here', () => {
    const { spool } = tempSpool()
    put(spool, 'new', 'X.json', jobText().replace('/nix/store', '/mnt/store'))
    reject(spool, 'X.json', 'it lies in another store')
    const [found] = jobsIn(spool, ['failed'])
    expect(found).toEqual({
      name: 'X.json',
      state: 'failed',
      path: join(spool.failed, 'X.json'),
      reason: 'X.json is no valid job: it lies in another store.',
    })
  })

  test('passes over nothing: names of any length, directories', () => {
    const { spool } = tempSpool()
    const names = ['x'.repeat(255), 'directory']
    put(spool, 'new', 'x'.repeat(255), '{')
    mkdirSync(join(spool.new, 'directory'))
    expect([...jobsIn(spool, ['new'])].map(({ name }) => name).sort()).toEqual(names.sort())
  })
})

describe('finding one job', () => {
  function withJobs() {
    const { spool } = tempSpool()
    put(spool, 'new', 'one-hello.json')
    put(spool, 'new', 'one-hello.json~', jobText('backup'))
    put(spool, 'failed', 'two-hello.json')
    put(spool, 'failed', 'two-hello.json.reason')
    put(spool, 'done', 'three-world.json', jobText('world'))
    return spool
  }

  test.each([
    { part: 'three-world.json', state: 'done', name: 'three-world.json' },
    { part: 'world', state: 'done', name: 'three-world.json' },
    { part: 'two', state: 'failed', name: 'two-hello.json' },
    { part: 'one-hello.json', state: 'new', name: 'one-hello.json' },
  ])('by its name or any unique part of it: $part', ({ part, state, name }) => {
    expect(findJob(withJobs(), part)).toMatchObject({ state, name })
  })

  test('the whole name wins over parts of others', () => {
    expect(findJob(withJobs(), 'one-hello.json').job?.outPaths).toEqual([storePath('hello')])
  })

  test.each([
    { part: 'hello', error: 'several jobs in the spool have "hello" in their names; say more of it:\n' },
    { part: '', error: 'which job? Say its name' },
    {
      part: 'nothing',
      error: 'no job in the spool has "nothing" in its name; `nix-upload list` shows what is there',
    },
    {
      part: '../done/three-world.json',
      error: 'no job in the spool has "../done/three-world.json" in its name',
    },
    { part: '.reason', error: 'no job in the spool has ".reason" in its name' },
  ])('or says why not: "$part"', ({ part, error }) => {
    expect(() => findJob(withJobs(), part)).toThrow(UserError)
    expect(() => findJob(withJobs(), part)).toThrow(error)
  })

  test('names those it may be, and not more than ten', () => {
    const { spool } = tempSpool()
    for (let at = 0; at < 50; at++) put(spool, 'new', `hello-${at}.json`)
    expect(() => findJob(spool, 'hello')).toThrow(/^.*:(\n {2}new\/hello-\d+\.json){10}$/)
  })

  test('only in the states asked for', () => {
    expect(() => findJob(withJobs(), 'world', ['failed'])).toThrow('no job in failed/ has "world"')
  })
})
