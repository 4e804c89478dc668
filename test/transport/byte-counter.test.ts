import { expect, test } from 'vitest'
import { layered, plainContext } from '../../src/transport/attempt.ts'
import { ByteCounter, counted } from '../../src/transport/byte-counter.ts'
import { never } from './bed.ts'

test('what a failed attempt counted is taken back, once, and what comes late does not count', async () => {
  const counts: number[] = []
  const context = plainContext(never, (count) => counts.push(count))
  const attempts = layered(counted())
  let late = () => {}
  const failing = attempts(async ({ beforeBytes }) => {
    late = () => void beforeBytes(5)
    await beforeBytes(10)
    await beforeBytes(20)
    throw new Error('in vain')
  }, context)
  await expect(failing).rejects.toThrow('in vain')
  late()
  expect(counts).toEqual([10, 20, -30])
  expect(await attempts(async ({ beforeBytes }) => beforeBytes(30), context)).toBeUndefined()
  expect(counts).toEqual([10, 20, -30, 30])
})

test('where nothing went out there is nothing to take back', async () => {
  const counts: number[] = []
  const context = plainContext(never, (count) => counts.push(count))
  await expect(layered(counted())(() => Promise.reject(new Error('no')), context)).rejects.toThrow('no')
  expect(counts).toEqual([])
})

test('of several that count together, all is taken back', () => {
  const counts: number[] = []
  const counter = new ByteCounter((count) => counts.push(count))
  counter.add(3)
  counter.add(-1)
  counter.takeBack()
  counter.add(7)
  expect(counts).toEqual([3, -1, -2])
})
