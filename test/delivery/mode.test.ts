import { expect, test } from 'vitest'
import { MODES, type Mode, modeOf, type Situation } from '../../src/delivery/mode.ts'

const IDLE: Situation = {
  isStopping: false,
  isPaused: false,
  isDown: false,
  waitMs: 0,
  isProbing: false,
  isChoosing: false,
  isHeldUp: false,
  batches: 0,
  concurrency: 2,
}
const DOWN = { isDown: true, waitMs: 1000 }
const PROBING = { isDown: true, isProbing: true, batches: 1 }

test.each<[Partial<Situation>, Mode]>([
  [{}, 'idle'],
  [{ batches: 1 }, 'sending'],
  [{ batches: 1, isChoosing: true }, 'choosing'],
  [{ batches: 1, isHeldUp: true }, 'busy'],
  [{ batches: 2 }, 'busy'],
  [{ batches: 1, concurrency: 1 }, 'busy'],
  // What a batch that is through leaves behind is no hindrance.
  [{ isHeldUp: true }, 'idle'],
  [{ isChoosing: true }, 'idle'],
  [DOWN, 'backing off'],
  [{ ...DOWN, batches: 2 }, 'backing off'],
  [{ ...DOWN, waitMs: 0 }, 'due'],
  // Batches from before can take hours.
  [{ ...DOWN, waitMs: 0, batches: 2 }, 'due'],
  [PROBING, 'probing'],
  // Another batch failed while the probe was out.
  [{ ...PROBING, waitMs: 1000 }, 'backing off'],
  // Another batch went through while the probe was out.
  [{ ...PROBING, isDown: false }, 'sending'],
  [{ ...DOWN, isPaused: true }, 'paused'],
  [{ ...PROBING, isPaused: true }, 'paused'],
  [{ isPaused: true, batches: 1 }, 'paused'],
  [{ isPaused: true, isStopping: true }, 'stopping'],
  [{ ...DOWN, isStopping: true }, 'stopping'],
])('%o is %s', (situation, mode) => {
  expect(modeOf({ ...IDLE, ...situation })).toBe(mode)
})

test('nothing starts where nothing is taken, and nothing but a probe while it is down', () => {
  for (const mode of ['stopping', 'paused', 'backing off'] as const)
    expect(MODES[mode]).toEqual({ takes: 'nothing', starts: 'nothing' })
  for (const mode of ['due', 'probing'] as const) {
    expect(MODES[mode].takes).toBe('a probe')
    expect(['a probe', 'nothing']).toContain(MODES[mode].starts)
  }
})
