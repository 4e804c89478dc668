import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { oneAhead } from '../../../src/delivery/staged/one-ahead.ts'

interface Item {
  name: string
}

const items = ['a', 'b', 'c'].map((name): Item => ({ name }))
const never = new AbortController().signal

/** Prepares what it is given and notes what happens, in which order. */
function workshop(prepare: (name: string, signal: AbortSignal) => Promise<void> = async () => {}) {
  const log: string[] = []
  const ahead = (signal = never) =>
    oneAhead(
      items,
      async ({ name }, either) => {
        log.push(`begin ${name}`)
        await prepare(name, either)
        log.push(`ready ${name}`)
        return { name: `packed ${name}` }
      },
      ({ name }) => log.push(`discard ${name}`),
      signal,
    )
  return { log, ahead }
}

describe('one item is prepared while the one before it is in use', () => {
  test('and no other', async () => {
    const { log, ahead } = workshop(() => nextTurn())
    for await (const [item, packed] of ahead()) {
      log.push(`use ${item.name}: ${packed.name}`)
      for (let turns = 0; turns < 5; turns++) await nextTurn()
      log.push(`used ${item.name}`)
    }
    expect(log).toEqual([
      ...['begin a', 'ready a', 'begin b', 'use a: packed a', 'ready b', 'used a'],
      ...['begin c', 'use b: packed b', 'ready c', 'used b'],
      ...['use c: packed c', 'used c'],
    ])
  })

  test('what was prepared for nothing is discarded, and what is being prepared is aborted', async () => {
    const { log, ahead } = workshop(async (name, signal) => {
      if (name !== 'b') return
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      log.push('abort b')
    })
    const use = async () => {
      for await (const [item] of ahead()) throw new Error(`no use for ${item.name}`)
    }
    await expect(use()).rejects.toThrow('no use for a')
    expect(log).toEqual(['begin a', 'ready a', 'begin b', 'abort b', 'ready b', 'discard packed b'])
  })

  test('one that can’t be prepared is heard of when it is its turn', async () => {
    const { log, ahead } = workshop(async (name) => {
      if (name === 'b') throw new Error('b is broken')
    })
    const used: string[] = []
    const use = async () => {
      for await (const [item] of ahead()) {
        for (let turns = 0; turns < 5; turns++) await nextTurn()
        used.push(item.name)
      }
    }
    await expect(use()).rejects.toThrow('b is broken')
    expect(used).toEqual(['a'])
    expect(log).toEqual(['begin a', 'ready a', 'begin b'])
  })

  test('the signal is passed on', async () => {
    const ended = new AbortController()
    const { ahead } = workshop(async (_name, signal) => signal.throwIfAborted())
    ended.abort(new Error('enough'))
    await expect(ahead(ended.signal).next()).rejects.toThrow('enough')
  })
})
