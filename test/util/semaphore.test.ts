import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Semaphore } from '../../src/util/semaphore.ts'

const { signal: never } = new AbortController()

/** Takes room, and notes when it has got it. */
function taker(semaphore: Semaphore) {
  const got: string[] = []
  const take = async (name: string, room: number, signal = never) => {
    const giveBack = await semaphore.take(room, signal)
    got.push(name)
    return giveBack
  }
  return { got, take }
}

test('as many are let in as there is room for, in the order they came', async () => {
  const { got, take } = taker(new Semaphore(10))
  const first = await take('first', 6)
  const second = take('second', 5)
  const third = take('third', 1)
  await sleep(1)
  // It would fit, but does not overtake.
  expect(got).toEqual(['first'])
  first()
  await Promise.all([second, third])
  expect(got).toEqual(['first', 'second', 'third'])
})

test('some of the room can be given back before the rest, and nothing twice', async () => {
  const { got, take } = taker(new Semaphore(10))
  const giveBack = await take('first', 10)
  const second = take('second', 4)
  giveBack(3)
  await sleep(1)
  expect(got).toEqual(['first'])
  giveBack(1)
  await second
  giveBack()
  giveBack()
  giveBack(100)
  const third = take('third', 6)
  const fourth = take('fourth', 1)
  await third
  await sleep(1)
  expect(got).toEqual(['first', 'second', 'third'])
  const back = await third
  back()
  await fourth
})

test('what needs more than there is gets it once all is free', async () => {
  const { got, take } = taker(new Semaphore(10))
  const first = await take('first', 1)
  const large = take('large', 100)
  await sleep(1)
  expect(got).toEqual(['first'])
  first()
  const giveBack = await large
  const after = take('after', 1)
  await sleep(1)
  expect(got).toEqual(['first', 'large'])
  giveBack()
  await after
})

test('who does not want it any more leaves the line, and those behind go on', async () => {
  const { got, take } = taker(new Semaphore(10))
  await take('first', 5)
  const ended = new AbortController()
  const large = take('large', 8, ended.signal)
  const small = take('small', 2)
  await sleep(1)
  expect(got).toEqual(['first'])
  ended.abort(new Error('enough'))
  await expect(large).rejects.toThrow('enough')
  await small
  expect(got).toEqual(['first', 'small'])
  await expect(take('late', 1, ended.signal)).rejects.toThrow('enough')
})
