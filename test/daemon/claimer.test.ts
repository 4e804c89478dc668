// What is claimed when, for a dispatcher that the test plays. How one file is claimed: test/spool/claim.test.ts.

import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Claimer } from '../../src/daemon/claimer.ts'
import { StuckLog } from '../../src/daemon/stuck-log.ts'
import type { Worker } from '../../src/delivery/worker.ts'
import type { ClaimedJob } from '../../src/spool/claim.ts'
import type { Job } from '../../src/spool/job.ts'
import { fakeWorker } from '../delivery/fake-worker.ts'
import { age, HOUR, jobText, put, STORE, storePath, tempSpool, tree } from '../spool/temp-spool.ts'

/** @param room How many jobs the dispatcher takes. */
function bench(room: number) {
  const temp = tempSpool()
  const log: string[] = []
  const stream = {
    write: (line: string) => void log.push(JSON.parse(line).job ?? JSON.parse(line).msg),
  }
  const logger = pino({}, stream)
  const taken: string[] = []
  const protectedJobs: string[] = []
  let rings = 0
  const dispatcher = {
    room,
    isFilling: false,
    hasGivenBack: false,
    workersWithRoom: [] as Worker[],
    /** Told of a job that is looked at; false leaves it. */
    wants: (_job: Job) => true,
    get isFull() {
      return taken.length >= dispatcher.room
    },
    isOurs: (name: string) => taken.includes(name),
    accept: ({ name }: ClaimedJob) => void taken.push(name),
    getReady: () => undefined,
    startUntried: () => undefined,
  }
  const protector = {
    protect: (_state: string, name: string) => void protectedJobs.push(name),
    tellOf: () => undefined,
  }
  const claimer = new Claimer(
    {
      spool: temp.spool,
      roots: temp.roots,
      storeDir: STORE,
      log: logger,
      protector,
      stuckLog: new StuckLog(logger),
      ring: () => void rings++,
      onMany: async () => undefined,
    },
    dispatcher,
  )
  const claim = (heard?: string[]) =>
    claimer.claim(heard === undefined ? undefined : new Set(heard), () => false)
  return { ...temp, claimer, dispatcher, taken, protectedJobs, log, claim, rings: () => rings }
}

test('all that is there is claimed, as far as there is room', async () => {
  const it = bench(2)
  for (const name of ['a.json', 'b.json', 'c.json']) put(it.spool, 'new', name)
  await it.claim()
  expect([it.taken.length, tree(it.spool).new?.length, it.dispatcher.isFilling]).toEqual([2, 1, false])
  it.dispatcher.room = 3
  it.claimer.scan.lookAgain()
  await it.claim()
  expect([it.taken.toSorted(), tree(it.spool).new]).toEqual([['a.json', 'b.json', 'c.json'], undefined])
})

test('what was heard of is looked at first, and gets its roots where there is no room for it', async () => {
  const it = bench(1)
  put(it.spool, 'new', 'z.json')
  await it.claim(['z.json'])
  put(it.spool, 'new', 'y.json')
  await it.claim(['y.json'])
  expect([it.taken, it.protectedJobs, tree(it.spool).new]).toEqual([['z.json'], ['y.json'], ['y.json']])
})

test('what nobody wants now stays, with its roots, and the scan ends', async () => {
  const it = bench(9)
  it.dispatcher.wants = ({ outPaths }) => outPaths[0] !== storePath('elsewhere')
  put(it.spool, 'new', 'a.json', jobText('elsewhere'))
  put(it.spool, 'new', 'b.json')
  await it.claim(['a.json'])
  expect([it.taken, it.protectedJobs, it.claimer.scan.isThrough, it.claimer.scan.left]).toEqual([
    ['b.json'],
    ['a.json'],
    true,
    1,
  ])
})

test('a job that is heard of because it was claimed is no news', async () => {
  const it = bench(9)
  put(it.spool, 'new', 'a.json')
  await it.claim(['a.json'])
  await it.claim(['a.json'])
  expect([it.taken, it.protectedJobs, it.log]).toEqual([['a.json'], [], []])
})

test('what is no job is moved to failed/ at once where nobody wrote to it for a while', async () => {
  const it = bench(9)
  age(put(it.spool, 'new', 'a.json', '{'), HOUR)
  await it.claim()
  expect([tree(it.spool).failed, it.claimer.rejected]).toEqual([['a.json', 'a.json.reason'], 1])
})

test('what may be half written is looked at once more before it is judged', async () => {
  const it = bench(1)
  const path = put(it.spool, 'new', 'a.json', '')
  await it.claim(['a.json'])
  expect([it.taken, tree(it.spool).new, it.claimer.isExpectingMore]).toEqual([[], ['a.json'], true])
  writeFileSync(path, jobText())
  await expect.poll(it.rings, { timeout: 30_000 }).toBe(1)
  await it.claim([])
  expect([it.taken, it.claimer.isExpectingMore]).toEqual([['a.json'], false])
  it.claimer.close()
})

test('a file that can’t be looked at is said once and keeps nobody waiting', async () => {
  const it = bench(9)
  put(it.spool, 'new', 'a.json')
  // What Node reads where a name is not UTF-8.
  const odd = Buffer.from(join(it.spool.new, 'odd?.json'))
  odd[odd.length - 6] = 0xff
  writeFileSync(odd, jobText())
  utimesSync(odd, 0, 0)
  await it.claim()
  it.claimer.scan.lookAgain()
  await it.claim()
  expect([it.taken, it.log]).toEqual([['a.json'], ['odd\u{FFFD}.json']])
})

test('what the dispatcher gave back for want of room at a destination is looked for once that has room', async () => {
  const it = bench(9)
  await it.claim([])
  put(it.spool, 'new', 'back.json')
  it.dispatcher.hasGivenBack = true
  await it.claim([])
  expect(it.taken).toEqual([])
  it.dispatcher.workersWithRoom = [fakeWorker().worker]
  await it.claim([])
  expect([it.taken, it.dispatcher.hasGivenBack]).toEqual([['back.json'], false])
})
