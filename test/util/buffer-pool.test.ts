import { expect, test } from 'vitest'
import { BufferPool } from '../../src/util/buffer-pool.ts'

test('a buffer is used again once it was given back, and never by two', () => {
  const pool = new BufferPool(100)
  const [first, second] = [pool.take(), pool.take()]
  expect(second.buffer).not.toBe(first.buffer)
  expect([first.length, second.length]).toEqual([100, 100])
  pool.giveBack(first)
  expect(pool.take()).toBe(first)
  expect([first, second]).not.toContain(pool.take())
})

test('a buffer has its memory for itself', () => {
  const buffer = new BufferPool(10).take()
  expect([buffer.byteOffset, buffer.buffer.byteLength]).toEqual([0, 10])
})
