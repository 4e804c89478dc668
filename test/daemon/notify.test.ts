// What the service manager is told, without one: the booted test in test/systemd/ has it.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Asked, ServiceManager, type Standing, statusOf, takeAsked } from '../../src/daemon/notify.ts'

const idle: Standing = {
  isPaused: false,
  isStopping: false,
  inHand: 0,
  done: 0,
  failed: 0,
  destinations: {},
}

const down = (lastError: string) => ({ to: 's3://x', state: 'down', failures: 1, lastError }) as const

function managed(asked: Asked) {
  const told: string[][] = []
  const manager = new ServiceManager(asked, async (assignments) => {
    told.push([...assignments])
  })
  return { manager, told }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('what is asked for is read once and kept from the programs that are started', () => {
  const env = { NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '120000000', WATCHDOG_PID: '7', HOME: '/' }
  expect(takeAsked(env, 7)).toEqual({ isAsked: true, watchdogMs: 120_000 })
  expect(env).toEqual({ HOME: '/' })
})

test.each([
  ['of no service manager', {}, { isAsked: false }],
  ['of an empty one', { NOTIFY_SOCKET: '' }, { isAsked: false }],
  ['a watchdog, of nobody', { WATCHDOG_USEC: '5' }, { isAsked: false }],
  ['no watchdog', { NOTIFY_SOCKET: '@x' }, { isAsked: true }],
  [
    'a watchdog for another process',
    { NOTIFY_SOCKET: '@x', WATCHDOG_USEC: '5', WATCHDOG_PID: '8' },
    { isAsked: true },
  ],
  ['a watchdog that is no number', { NOTIFY_SOCKET: '@x', WATCHDOG_USEC: 'soon' }, { isAsked: true }],
])('asked: %s', (_what, env, asked) => {
  expect(takeAsked({ ...env }, 7)).toEqual(asked)
})

test('nobody asked: nothing is said', async () => {
  const { manager, told } = managed({ isAsked: false })
  manager.ready({ isWell: () => true, status: () => 'x' })
  manager.changed()
  manager.stopping(1)
  await vi.advanceTimersByTimeAsync(600_000)
  expect(told).toEqual([])
})

test('ready, fed at twice the pace that is asked for, and not fed while it is not well', async () => {
  const { manager, told } = managed({ isAsked: true, watchdogMs: 10_000 })
  let isWell = true
  manager.ready({ isWell: () => isWell, status: () => 'waiting for jobs' })
  await vi.advanceTimersByTimeAsync(10_000)
  expect(told).toEqual([['READY=1', 'STATUS=waiting for jobs'], ['WATCHDOG=1'], ['WATCHDOG=1']])
  isWell = false
  await vi.advanceTimersByTimeAsync(100_000)
  expect(told).toHaveLength(3)
  isWell = true
  manager.end()
  await vi.advanceTimersByTimeAsync(100_000)
  expect(told).toHaveLength(3)
})

test('the status is told when it changes, one message after the other; stopping asks for its time', async () => {
  const told: string[][] = []
  const manager = new ServiceManager({ isAsked: true }, async (assignments) => {
    await new Promise((resolve) => setTimeout(resolve, told.length === 0 ? 1000 : 1))
    told.push([...assignments])
  })
  let status = 'one'
  manager.ready({ isWell: () => true, status: () => status })
  manager.changed()
  status = 'two'
  manager.changed()
  manager.changed()
  status = 'stopping'
  manager.stopping(90_000)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(told).toEqual([
    ['READY=1', 'STATUS=one'],
    ['STATUS=two'],
    ['STOPPING=1', 'EXTEND_TIMEOUT_USEC=90000000', 'STATUS=stopping'],
  ])
})

test.each([
  [{}, 'waiting for jobs'],
  [{ inHand: 1 }, '1 job in hand'],
  [{ inHand: 12, done: 3, failed: 1 }, '12 jobs in hand; 3 done; 1 failed'],
  [{ isPaused: true, inHand: 2 }, 'paused'],
  [{ isPaused: true, isStopping: true }, 'stopping'],
  [
    { destinations: { s3: down('no route\nto\u001b[31m host') } },
    'waiting for jobs; s3 is down (no route to [31m host)',
  ],
])('status: %j', (standing, line) => {
  expect(statusOf({ ...idle, ...standing })).toBe(line)
})

test('a status has one line of 200 characters at most', () => {
  const line = statusOf({ ...idle, destinations: { s3: down('x'.repeat(1000)) } })
  expect(line).toHaveLength(200)
})
