import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { Thread, threadFile } from '../../src/util/thread.ts'
import type { EchoCall, EchoReply } from './echo-thread.ts'

const MIB = 1024 * 1024

function start(): Thread<EchoCall, EchoReply> {
  const thread = new Thread<EchoCall, EchoReply>(threadFile('./echo-thread', import.meta.url))
  onTestFinished(() => thread.close())
  return thread
}

const echo = (text: string, afterMs?: number): EchoCall =>
  afterMs === undefined ? { kind: 'echo', text } : { kind: 'echo', text, afterMs }

test('the file of a thread ends as that of who starts it does', () => {
  expect(threadFile('./a', 'file:///x/y.ts').pathname).toBe('/x/a.ts')
  expect(threadFile('./a', 'file:///x/y.js').pathname).toBe('/x/a.js')
})

test('each call gets its own answer, whoever is done first', async () => {
  const thread = start()
  const answers = await Promise.all([
    thread.call(echo('slow', 50)),
    thread.call(echo('quick')),
    thread.call(echo('quicker', 1)),
  ])
  expect(answers).toEqual(['slow', 'quick', 'quicker'])
  expect(thread.load).toBe(0)
})

test('its load is the work of the calls that are not answered, as the caller counts it', async () => {
  const thread = start()
  const calls = [thread.call(echo('small'), { load: 2 }), thread.call(echo('large'), { load: 40 })]
  expect(thread.load).toBe(42)
  await Promise.all(calls)
  expect(thread.load).toBe(0)
})

test('the calls of one turn go there together', async () => {
  const thread = start()
  await thread.call(echo('warm'))
  await sleep(20)
  const before = Number(await thread.call({ kind: 'turn' }))
  await sleep(20)
  await Promise.all(Array.from({ length: 500 }, (_, at) => thread.call(echo(`${at}`))))
  await sleep(20)
  expect(await thread.call({ kind: 'turn' })).toBe(before + 2)
})

test('what it throws there is thrown here, with its code and path', async () => {
  const failure = await start()
    .call({ kind: 'throw', message: 'out of range' })
    .catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(Error)
  expect(failure).toMatchObject({ name: 'RangeError', message: 'out of range', code: 'ECODE', path: '/path' })
})

test('a stream waits until what it sent was taken', async () => {
  const thread = start()
  const chunks: [number, () => void][] = []
  const streaming = thread.call(
    { kind: 'stream', chunks: 20, bytes: MIB },
    { onChunk: (bytes, taken) => chunks.push([bytes[0] ?? -1, taken]) },
  )
  await expect.poll(() => chunks.length).toBe(2)
  await sleep(50)
  expect(chunks.length).toBe(2)
  let at = 0
  while (at < 20) {
    await expect.poll(() => chunks.length).toBeGreaterThan(at)
    chunks[at++]?.[1]()
  }
  expect(await streaming).toBe(20)
  expect(chunks.map(([first]) => first)).toEqual(Array.from({ length: 20 }, (_, number) => number))
})

test('what is not wanted any more ends at once, here and there, and the rest goes on', async () => {
  const thread = start()
  const ended = new AbortController()
  const hanging = thread.call({ kind: 'hang' }, { signal: ended.signal })
  const chunks: number[] = []
  const streaming = thread.call(
    { kind: 'stream', chunks: 1000, bytes: MIB },
    { signal: ended.signal, onChunk: (bytes) => chunks.push(bytes.length) },
  )
  const other = thread.call(echo('other', 100))
  const failed = Promise.allSettled([hanging, streaming])
  await expect.poll(() => chunks.length).toBe(2)
  const reason = new Error('enough')
  ended.abort(reason)
  expect(await failed).toEqual([
    { status: 'rejected', reason },
    { status: 'rejected', reason },
  ])
  await expect(thread.call(echo('late'), { signal: ended.signal })).rejects.toBe(reason)
  expect(await other).toBe('other')
  // It stands at the chunk that nobody took.
  expect(await thread.call({ kind: 'sent' })).toBe('1 was cancelled')
  expect(thread.load).toBe(0)
})

test('where the thread ends, its calls fail, and the next one starts another', async () => {
  const thread = start()
  const [waiting, exiting] = await Promise.allSettled([
    thread.call(echo('late', 10_000)),
    thread.call({ kind: 'exit' }),
  ])
  for (const { status } of [waiting, exiting]) expect(status).toBe('rejected')
  expect(thread.load).toBe(0)
  expect(await thread.call(echo('again'))).toBe('again')
})

test('where it is closed, its calls fail, and it can be used again', async () => {
  const thread = start()
  const waiting = thread.call(echo('late', 10_000))
  const failed = expect(waiting).rejects.toThrow('the thread was ended')
  thread.close()
  const again = thread.call(echo('again'))
  await failed
  expect(await again).toBe('again')
})

test('a thread that can’t be started fails the call, each time', async () => {
  const thread = new Thread<EchoCall, EchoReply>(new URL('./no-such-thread.ts', import.meta.url))
  for (const _ of [1, 2]) await expect(thread.call(echo('x'))).rejects.toThrow(/no-such-thread/)
})
