// What a worker sends when, mode by mode (src/delivery/mode.ts), with a destination that the test plays.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DELIVERED, DOWN, fakeWorker, OWN_FAULT } from './fake-worker.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('up', () => {
  test('idle, it sends what there is at once; what comes meanwhile is the next batch', async () => {
    const it = fakeWorker()
    it.add('a')
    expect([it.worker.mode, it.sent]).toEqual(['busy', ['a']])
    it.add('b c')
    expect(it.sent).toEqual(['a'])
    await it.end('a', DELIVERED)
    expect(it.sent).toEqual(['a', 'b c'])
    await it.end('b c', DELIVERED)
    expect([it.worker.mode, it.worker.isRunning, it.told]).toEqual(['idle', false, ['up after unknown']])
  })

  test('a batch has no more paths than it may have', async () => {
    const it = fakeWorker()
    it.add('a b c d e f')
    expect(it.sent).toEqual(['a b c d'])
    await it.end('a b c d', DELIVERED)
    expect(it.sent).toEqual(['a b c d', 'e f'])
  })

  test('beside a batch goes what has nothing to do with it', async () => {
    const it = fakeWorker({ concurrency: 2 })
    it.add('a')
    it.add('b c')
    expect(it.worker.mode).toBe('choosing')
    await it.answerRelated('b')
    expect([it.worker.mode, it.sent]).toEqual(['busy', ['a', 'c']])
    await it.end('a', DELIVERED)
    await it.answerRelated('')
    expect(it.sent).toEqual(['a', 'c', 'b'])
  })

  test('where all that is queued has to do with it, nothing is asked again before one ends or one comes', async () => {
    const it = fakeWorker({ concurrency: 2 })
    it.add('a')
    it.add('b')
    await it.answerRelated('b')
    it.worker.start()
    expect([it.worker.mode, it.sent]).toEqual(['busy', ['a']])
    it.add('c')
    expect(it.worker.mode).toBe('choosing')
    await it.answerRelated('b')
    expect(it.sent).toEqual(['a', 'c'])
  })

  test('what was held by a batch that ended while Nix was asked is asked for once more', async () => {
    const it = fakeWorker({ concurrency: 3 })
    it.add('a')
    it.add('b')
    await it.answerRelated('')
    it.add('c')
    await it.end('a', DELIVERED)
    await it.answerRelated('c')
    expect(it.worker.mode).toBe('choosing')
    await it.answerRelated('')
    expect(it.sent).toEqual(['a', 'b', 'c'])
  })

  test('an answer that comes when all is through is of no matter', async () => {
    const it = fakeWorker({ concurrency: 2 })
    it.add('a')
    it.add('b')
    await it.end('a', DELIVERED)
    expect(it.sent).toEqual(['a', 'b'])
    await it.answerRelated('b')
    expect([it.worker.mode, it.sent]).toEqual(['sending', ['a', 'b']])
  })
})

describe('down', () => {
  test('it is left alone, then probed with one job at a time, each time another, longer and longer apart', async () => {
    const it = fakeWorker({}, (worker, claimed) => worker.add(claimed))
    it.add('a')
    it.add('b c')
    await it.end('a', DOWN)
    expect([it.worker.mode, it.worker.room, it.told]).toEqual([
      'backing off',
      0,
      ['down: connection refused'],
    ])
    await it.wait(1010)
    expect([it.worker.mode, it.sent]).toEqual(['probing', ['a', 'b']])
    await it.end('b', DOWN)
    await it.wait(1010)
    expect(it.worker.mode).toBe('backing off')
    await it.wait(1000)
    expect(it.sent).toEqual(['a', 'b', 'c'])
    await it.end('c', DOWN)
    await it.wait(4010)
    // All were tried.
    expect(it.sent).toEqual(['a', 'b', 'c', 'a'])
  })

  test('a probe that goes through ends that: batches grow from one', async () => {
    const it = fakeWorker({ batchSize: 8 })
    it.add('a')
    await it.end('a', DOWN)
    it.add('b c d e f')
    await it.wait(1010)
    expect(it.sent).toEqual(['a', 'b'])
    await it.end('b', DELIVERED)
    expect([it.sent, it.told.at(-1)]).toEqual([['a', 'b', 'c d'], 'up after down'])
    await it.end('c d', DELIVERED)
    expect(it.sent.at(-1)).toBe('e f')
  })

  test('it takes one job for the next probe, and none while it backs off', async () => {
    const it = fakeWorker()
    it.add('a')
    await it.end('a', DOWN)
    expect(it.worker.room).toBe(0)
    await it.wait(1010)
    expect([it.worker.mode, it.worker.room]).toEqual(['due', 1])
    it.add('b')
    expect([it.worker.mode, it.worker.room]).toEqual(['probing', 1])
  })

  test('a probe goes out beside a batch from before, which may take hours', async () => {
    const it = fakeWorker({ concurrency: 2 })
    it.add('long')
    it.add('a')
    await it.answerRelated('')
    await it.end('a', DOWN)
    it.add('b')
    await it.wait(1010)
    expect([it.worker.mode, it.sent]).toEqual(['probing', ['long', 'a', 'b']])
    // What was long goes through: it is back, and the probe is a batch as any other.
    await it.end('long', DELIVERED)
    expect([it.worker.mode, it.told.at(-1)]).toEqual(['sending', 'up after down'])
  })

  test('batches that fail side by side are one failure', async () => {
    const it = fakeWorker({ concurrency: 2 })
    it.add('a')
    it.add('b')
    await it.answerRelated('')
    await it.end('a', DOWN)
    await it.end('b', DOWN)
    expect([it.told, it.worker.health.report().failures]).toEqual([['down: connection refused'], 1])
  })

  test('a failure of a job’s own is none of the destination’s', async () => {
    const it = fakeWorker()
    it.add('a')
    it.add('b c')
    await it.end('a', OWN_FAULT)
    await it.end('b c', (name) => (name === 'b' ? OWN_FAULT : DELIVERED))
    expect([it.worker.mode, it.told]).toEqual(['idle', ['up after unknown']])
  })
})

describe('jobs that wait by themselves', () => {
  test('are sent again after a wait, each time longer, and hold up no other', async () => {
    const it = fakeWorker({}, (worker, claimed, outcome) =>
      outcome === DELIVERED ? worker.remove(claimed) : worker.delay(claimed),
    )
    it.add('a')
    await it.end('a', OWN_FAULT)
    it.add('b')
    await it.end('b', DELIVERED)
    expect(it.sent).toEqual(['a', 'b'])
    await it.wait(1010)
    expect(it.sent).toEqual(['a', 'b', 'a'])
    await it.end('a', OWN_FAULT)
    await it.wait(1010)
    expect(it.sent).toHaveLength(3)
    await it.wait(1000)
    expect(it.sent).toHaveLength(4)
  })

  test('count towards what it may have', async () => {
    const it = fakeWorker({}, (worker, claimed) => worker.delay(claimed))
    it.add('a b c d')
    await it.end('a b c d', OWN_FAULT)
    it.add('e f')
    await it.end('e f', OWN_FAULT)
    expect([it.worker.isRunning, it.worker.room]).toEqual([false, 2])
  })
})

describe('stopped', () => {
  test('paused, it takes and starts nothing, and goes on as before when it is resumed', async () => {
    const it = fakeWorker()
    it.add('a')
    it.worker.isPaused = true
    it.add('b')
    await it.end('a', DELIVERED)
    expect([it.worker.mode, it.worker.room, it.sent]).toEqual(['paused', 0, ['a']])
    it.worker.isPaused = false
    it.worker.start()
    expect(it.sent).toEqual(['a', 'b'])
  })

  test('stopping, it lets what is in flight finish', async () => {
    const it = fakeWorker()
    it.add('a')
    it.add('b')
    it.worker.stop()
    it.worker.clear()
    expect([it.worker.mode, it.worker.isRunning]).toEqual(['stopping', true])
    await it.end('a', DELIVERED)
    expect([it.worker.isRunning, it.sent]).toEqual([false, ['a']])
  })

  test('aborted, it ends what is in flight, and starts nothing', async () => {
    const it = fakeWorker({}, (worker, claimed) => worker.add(claimed))
    it.add('a')
    it.worker.abort()
    await it.wait(0)
    expect([it.worker.mode, it.worker.isRunning, it.sent]).toEqual(['stopping', false, ['a']])
  })
})

test('a bug in us is a failure of the destination, and its jobs stay', async () => {
  const it = fakeWorker()
  it.add('a')
  await it.end('a', new TypeError('x is not a function'))
  expect([it.worker.mode, it.worker.isRunning, it.told]).toEqual([
    'backing off',
    false,
    ['down: a bug in nix-upload: x is not a function'],
  ])
  await it.wait(1010)
  expect(it.sent).toEqual(['a', 'a'])
})
