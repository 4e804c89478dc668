import { describe, expect, test } from 'vitest'
import { claim } from '../../src/spool/claim.ts'
import { entriesOf } from '../../src/spool/read.ts'
import { recover } from '../../src/spool/recover.ts'
import { reject } from '../../src/spool/settle.ts'
import { prune, sweepTemporaries } from '../../src/spool/sweep.ts'
import { sweepRoots } from '../../src/spool/sweep-roots.ts'
import {
  age,
  DELIVERED,
  GIVEN_UP,
  HOUR,
  jobText,
  put,
  putRoot,
  rooted,
  STORE,
  type TempSpool,
  tempSpool,
  tree,
} from './temp-spool.ts'

const WAITING = { state: 'waiting', attempts: 1, error: 'reset' } as const

/** What a file may hold then. */
const fresh = jobText()
const waiting = jobText('hello', { destinations: { s3: WAITING } })
const delivered = jobText('hello', { destinations: { s3: DELIVERED } })
const givenUp = jobText('hello', { destinations: { s3: GIVEN_UP } })
const noJob = '{'

/** How a job is taken up: with its whole budget, with what is left of it, or with a new one. */
const whole = { destinations: {}, history: [] }
const rest = { destinations: { s3: WAITING }, history: [] }
const renewed = {
  destinations: {},
  history: [{ requeuedAt: expect.any(String), destinations: { s3: GIVEN_UP } }],
}

type Left = Partial<Record<'tmp' | 'new' | 'cur' | 'done' | 'failed' | 'note', string>>

/** Puts there what a crash left: tmp/U, X.json elsewhere, and its note. */
function leave({ spool }: TempSpool, { tmp, note, ...states }: Left): void {
  if (tmp !== undefined) put(spool, 'tmp', 'U', tmp)
  if (note !== undefined) put(spool, 'failed', 'X.json.reason', note)
  for (const state of ['new', 'cur', 'done', 'failed'] as const) {
    if (states[state] !== undefined) put(spool, state, 'X.json', states[state])
  }
}

/** What a start does before any work, and the first claims. Gives the jobs as they are claimed. */
function start({ spool, roots }: TempSpool) {
  recover(spool, () => false)
  return [...entriesOf(spool.new)].flatMap(({ name }) => {
    const look = claim(spool, roots, STORE, name, () => true)
    if (look.kind === 'invalid') reject(spool, name, look.reason)
    return look.kind === 'claimed' ? [look.claimed.job] : []
  })
}

/** What housekeeping does. Whatever was in tmp/ has been there for 37 hours. */
async function keepHouse({ spool, roots }: TempSpool): Promise<void> {
  await prune(spool, { ageMs: 24 * HOUR, count: 10 })
  await sweepTemporaries(spool, Date.now() + 37 * HOUR)
  await sweepRoots(spool, roots)
}

describe('after a crash between these the job is delivered, with its roots, and nothing else is left', () => {
  test.each<[row: string, crash: string, left: Left, taken: object, rootedFor?: number]>([
    ['C2', 'T1e–T1g', { new: fresh }, whole, 0],
    ['C3', 'after T1g', { new: fresh }, whole, 1000],
    ['C4', 'T2a–T2b', { new: fresh }, whole],
    ['C4', 'T2b–T2c', { new: fresh }, whole, 0],
    ['C5', 'after T2c', { cur: fresh }, whole, 0],
    ['C5', 'after T2c, put there by hand', { cur: fresh }, whole],
    ['C6', 'T3a–T3c', { tmp: waiting, cur: fresh }, whole, 1],
    ['C6', 'T3a, half written', { tmp: waiting.slice(0, 90), cur: fresh }, whole, 1],
    ['C6', 'after T3c', { cur: waiting }, rest, 1],
    ['C6', 'T5a–T5c', { tmp: givenUp, cur: waiting }, rest, 1],
    ['C7', 'T5c–T5d', { cur: givenUp }, renewed, 1],
    ['C8', 'T5d–T5e (lost)', { cur: givenUp }, renewed, 1],
    ['C9', 'T4a–T4c', { tmp: delivered, cur: fresh }, whole, 1],
    ['C11', 'T4d–T4e (lost)', { cur: fresh }, whole, 1],
    ['C14', 'T7, before the rename', { cur: waiting }, rest, 1],
    ['C14', 'T7, after it', { new: waiting }, rest, 1],
    ['C14', 'T8, after the rename', { new: givenUp }, renewed, 1],
  ])('%s: %s', async (_row, _crash, left, taken, rootedFor) => {
    const temp = tempSpool()
    leave(temp, left)
    if (rootedFor !== undefined) putRoot(temp, 'X.json', undefined, rootedFor * HOUR)
    expect(start(temp)).toMatchObject([taken])
    await keepHouse(temp)
    expect(tree(temp.spool)).toEqual({ cur: ['X.json'] })
    expect(rooted(temp)).toEqual(['X.json'])
  })
})

describe('after a crash between these there is nothing to deliver, and no more is left than is told of', () => {
  const done = { done: ['X.json'] }
  const failed = { failed: ['X.json'] }
  const rejected = { failed: ['X.json', 'X.json.reason'] }

  test.each<[row: string, crash: string, left: Left, after: object, rootedFor?: number, isRooted?: boolean]>([
    ['C1', 'T1a–T1b', { tmp: '' }, {}],
    ['C1', 'T1b–T1c', { tmp: '' }, {}, 37],
    ['C1', 'T1c–T1e', { tmp: fresh.slice(0, 40) }, {}, 37],
    ['C1', 'T1c–T1e, not long ago', { tmp: fresh }, {}, 35, true],
    ['C8', 'T5d–T5e', { failed: givenUp }, failed, 1000, true],
    ['C10', 'T4c–T4d', { tmp: delivered, done: fresh }, done, 0],
    ['C11', 'T4d–T4f', { done: delivered }, done, 0],
    ['C13', 'T6a–T6c', { tmp: 'why', new: noJob }, rejected],
    ['C13', 'T6c–T6d', { note: 'why', new: noJob }, rejected],
    ['C13', 'T6d–T6e', { note: 'why', failed: noJob }, rejected],
    ['C14', 'T8, before the rename', { failed: givenUp }, failed, 1000, true],
  ])('%s: %s', async (_row, _crash, left, after, rootedFor, isRooted) => {
    const temp = tempSpool()
    leave(temp, left)
    if (rootedFor !== undefined) putRoot(temp, 'X.json', undefined, rootedFor * HOUR)
    expect(start(temp)).toEqual([])
    await keepHouse(temp)
    expect(tree(temp.spool)).toEqual(after)
    expect(rooted(temp)).toEqual(isRooted ? ['X.json'] : [])
  })
})

test('C12: a job that is done and claimed at once is delivered once more, with its roots', async () => {
  const temp = tempSpool()
  leave(temp, { done: delivered, cur: fresh })
  expect(start(temp)).toMatchObject([whole])
  await keepHouse(temp)
  expect(tree(temp.spool)).toEqual({ cur: ['X.json'], done: ['X.json'] })
  expect(rooted(temp)).toEqual(['X.json'])
})

test('C15: what a sweep that was cut short left, the next one deletes', async () => {
  const temp = tempSpool()
  for (const [name, days] of [
    ['old.json', 2],
    ['older.json', 3],
    ['new.json', 0],
  ] as const) {
    age(put(temp.spool, 'done', name, delivered), days * 24 * HOUR)
    putRoot(temp, name, undefined, days * 24 * HOUR)
  }
  leave(temp, { tmp: '' })
  await keepHouse(temp)
  expect(tree(temp.spool)).toEqual({ done: ['new.json'] })
  expect(rooted(temp)).toEqual([])
})
