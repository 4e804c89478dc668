// Files in a directory of this machine.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { must, runProgram } from '../../support/run.ts'
import { digestOf, digestOfBody, expectFailure, MIB, never, put, putText, stream } from '../bed.ts'
import { fileBed } from './file-bed.ts'

const bed = fileBed()
const { open, filesIn } = bed

test('what is put is there, can be asked for, and replaced', async () => {
  const transport = open()
  expect(await transport.get('x.narinfo', never)).toBeUndefined()
  expect(await transport.head('nar/x', never)).toBeUndefined()
  for (const text of ['StorePath: ü', 'StorePath: ö']) {
    await putText(transport, 'x.narinfo', text)
    expect(await transport.get('x.narinfo', never)).toBe(text)
  }
  expect(await put(transport, 'nar/x', Buffer.alloc(1234))).toEqual({ sent: 1234, counts: [1234] })
  expect(await transport.head('nar/x', never)).toEqual({ size: 1234 })
  expect(filesIn()).toEqual(['nar/x', 'x.narinfo'])
})

test.each([0, 1, 5 * MIB])('a stream of %i bytes is there as it was', async (size) => {
  expect(await put(open(), 'nar/x', stream(size))).toMatchObject({ sent: size })
  expect(await digestOf(join(bed.dir, 'nar/x'))).toBe(await digestOfBody(stream(size)))
  expect(filesIn()).toEqual(['nar/x'])
})

test.each([0, 300_000])('a stream that throws after %i bytes leaves what was there', async (size) => {
  const transport = open()
  await putText(transport, 'nar/x', 'before')
  // An error of the system that is not that of the destination.
  const error = Object.assign(new Error('not as it was built'), { code: 'EIO' })
  const counts: number[] = []
  const upload = { name: 'nar/x', contentType: 'x/y', body: stream(size, { error }) }
  await expect(transport.put(upload, never, (count) => counts.push(count))).rejects.toBe(error)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(0)
  expect(filesIn()).toEqual(['nar/x'])
  expect(readFileSync(join(bed.dir, 'nar/x'), 'utf8')).toBe('before')
})

test('one that is aborted, or is not as long as was said, leaves nothing', async () => {
  const transport = open()
  const ended = new AbortController()
  const putting = put(transport, 'a', stream(10 * MIB, { delayMs: 5 }), ended.signal)
  setTimeout(() => ended.abort(new Error('enough')), 50)
  await expect(putting).rejects.toThrow()
  await expect(put(transport, 'a', { ...stream(1000), size: 2000 })).rejects.toThrow(/1000 of 2000 bytes/)
  await expect(put(transport, 'a', Buffer.alloc(1), ended.signal)).rejects.toThrow('enough')
  expect(filesIn()).toEqual([])
})

test('the URL is percent-decoded, and its parameters are none of the path', async () => {
  await putText(open(`file://${bed.dir}/a%20b/%C3%BC?compression=zstd`), 'x.narinfo')
  expect(filesIn()).toEqual(['a b/ü/x.narinfo'])
})

test('a name may be as long as a name can be', async () => {
  const name = `log/${'n'.repeat(255)}`
  const transport = open()
  await putText(transport, name, 'text')
  await put(transport, name, stream(1000))
  expect((await transport.head(name, never))?.size).toBe(1000)
})

test.each(['mkfifo "$1"', 'mkdir "$1"', 'ln -s "$1" "$1"'])(
  'what is no file is not read: %s',
  async (script) => {
    const args = ['-c', script, 'sh', join(bed.dir, 'x.narinfo')]
    must(await runProgram('sh', args, { env: { PATH: process.env.PATH ?? '' } }), 'make it')
    const says = /in place of a file is none.*x\.narinfo/
    await expectFailure(open().get('x.narinfo', never), { says, isOfOneFile: true, isTrouble: true })
  },
)

test('a directory is no archive, and is not replaced by one', async () => {
  mkdirSync(join(bed.dir, 'nar/x'), { recursive: true })
  const transport = open()
  expect(await transport.head('nar/x', never)).toBeUndefined()
  const putting = put(transport, 'nar/x', stream(1000))
  await expectFailure(putting, { says: /nar\/x is no file/, isOfOneFile: true, isTrouble: true })
})

test('a file that is far too large is not read', async () => {
  writeFileSync(join(bed.dir, 'x.narinfo'), Buffer.alloc(MIB + 1))
  await expectFailure(open().get('x.narinfo', never), {
    says: /far too large.*x\.narinfo/,
    isOfOneFile: true,
    isTrouble: true,
  })
})
