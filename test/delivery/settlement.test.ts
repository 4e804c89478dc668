// What is written of claimed jobs, and when their GC roots go. Each move for itself: test/spool/settle.test.ts.

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Settlement } from '../../src/delivery/settlement.ts'
import { claimIt, contentOf, DELIVERED, GIVEN_UP, put, rooted, tempSpool, tree } from '../spool/temp-spool.ts'

const WAITING = { state: 'waiting' as const, attempts: 1, error: 'refused' }

function bench(onChange: () => void = () => undefined) {
  const temp = tempSpool()
  const log: string[] = []
  const stacks: unknown[] = []
  const stream = {
    write: (line: string) => {
      const { msg, err } = JSON.parse(line)
      log.push(msg)
      if (err) stacks.push(err.stack)
    },
  }
  const settlement = new Settlement({ ...temp, log: pino({}, stream), onChange })
  put(temp.spool, 'new', 'a.json')
  return { ...temp, settlement, log, stacks, claimed: claimIt(temp, 'a.json') }
}

test('delivered everywhere, a job is in done/ and loses its roots once that is durable', async () => {
  const { settlement, claimed, spool, ...temp } = bench()
  settlement.update(claimed, 'default', DELIVERED)
  let isSettled = false
  settlement.settle(claimed, () => {
    isSettled = true
    expect([tree(spool), rooted({ spool, ...temp })]).toEqual([{ done: ['a.json'] }, [expect.any(String)]])
  })
  expect([settlement.has(claimed), settlement.size]).toEqual([true, 1])
  await settlement.finish()
  expect([isSettled, settlement.size, rooted({ spool, ...temp })]).toEqual([true, 0, []])
  expect([JSON.parse(contentOf(spool, 'done', 'a.json')).destinations, settlement.tally]).toEqual([
    { default: DELIVERED },
    { done: 1, failed: 0 },
  ])
})

test('a job that comes just when the last one is through is settled, too', async () => {
  let isFirst = true
  const { settlement, claimed, ...temp } = bench(() => {
    if (isFirst) queueMicrotask(() => settlement.settle(second))
    isFirst = false
  })
  put(temp.spool, 'new', 'b.json')
  const second = claimIt(temp, 'b.json')
  settlement.settle(claimed)
  await expect.poll(() => tree(temp.spool)).toEqual({ done: ['a.json', 'b.json'] })
  await settlement.finish()
})

test('given up at one destination, it is in failed/ and keeps its roots', async () => {
  const { settlement, claimed, spool, ...temp } = bench()
  settlement.update(claimed, 'one', DELIVERED)
  settlement.update(claimed, 'other', GIVEN_UP)
  settlement.settle(claimed)
  await settlement.finish()
  expect([tree(spool), rooted({ spool, ...temp }).length, settlement.tally]).toEqual([
    { failed: ['a.json'] },
    1,
    { done: 0, failed: 1 },
  ])
})

test('what is known of a job is written once, and goes with it to new/', () => {
  const { settlement, claimed, spool } = bench()
  settlement.update(claimed, 'default', WAITING)
  expect(JSON.parse(contentOf(spool, 'cur', 'a.json')).destinations).toBeUndefined()
  settlement.record(claimed)
  expect(JSON.parse(contentOf(spool, 'cur', 'a.json')).destinations).toEqual({ default: WAITING })
  settlement.update(claimed, 'default', { ...WAITING, attempts: 2 })
  settlement.release(claimed)
  expect([tree(spool), JSON.parse(contentOf(spool, 'new', 'a.json')).destinations]).toEqual([
    { new: ['a.json'] },
    { default: { ...WAITING, attempts: 2 } },
  ])
})

test('what could not be written is written with the next outcome', () => {
  const { settlement, claimed, spool, log } = bench()
  settlement.update(claimed, 'default', WAITING)
  renameSync(spool.tmp, `${spool.tmp}.away`)
  settlement.record(claimed)
  expect(log).toEqual(['the spool could not be written; the job stays in cur/ and is taken up again'])
  renameSync(`${spool.tmp}.away`, spool.tmp)
  settlement.record(claimed)
  expect(JSON.parse(contentOf(spool, 'cur', 'a.json')).destinations).toEqual({ default: WAITING })
})

test('a bug while a job is written leaves that job in cur/, is logged with its stack, and holds up no other', async () => {
  const { settlement, claimed, log, ...temp } = bench()
  put(temp.spool, 'new', 'b.json')
  const other = claimIt(temp, 'b.json')
  settlement.update(claimed, 'default', {
    ...DELIVERED,
    get note(): string {
      throw new TypeError('x is not a function')
    },
  })
  let isLetGo = false
  settlement.settle(claimed, () => {
    isLetGo = true
  })
  settlement.settle(other)
  await settlement.finish()
  expect([tree(temp.spool), settlement.tally, isLetGo]).toEqual([
    { cur: ['a.json'], done: ['b.json'] },
    { done: 1, failed: 0 },
    true,
  ])
  expect(log).toEqual([
    'a bug in nix-upload; the records of these jobs are written one by one',
    'a bug in nix-upload; the job stays in cur/ and is taken up again',
  ])
  expect(temp.stacks).toEqual(
    Array(2).fill(expect.stringMatching(/x is not a function\n\s+at .*settlement.test/)),
  )
})

test('a job that somebody has moved or edited is theirs: nothing is written, nothing moved', async () => {
  const { settlement, claimed, spool, log, ...temp } = bench()
  const edited = join(spool.cur, 'edited')
  writeFileSync(edited, readFileSync(join(spool.cur, 'a.json')))
  renameSync(edited, join(spool.cur, 'a.json'))
  settlement.update(claimed, 'default', DELIVERED)
  settlement.record(claimed)
  settlement.settle(claimed)
  await settlement.finish()
  expect([tree(spool), settlement.tally]).toEqual([{ cur: ['a.json'] }, { done: 0, failed: 0 }])
  expect(log).toEqual(['somebody moved the job away, so it is left where it is'])
  expect(JSON.parse(contentOf(spool, 'cur', 'a.json')).destinations).toBeUndefined()
  rmSync(join(spool.cur, 'a.json'))
  expect(existsSync(join(temp.dir, 'gcroots'))).toBe(true)
})
