// What the thread does that writes files: many at once, into directories that it makes, durably.

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { put, putText, stream } from '../bed.ts'
import { fileBed } from './file-bed.ts'

const DAY_MS = 24 * 3_600_000

const bed = fileBed()
const { open, filesIn } = bed

test('many small files at once come there, and single ones', async () => {
  const transport = open()
  const names = Array.from({ length: 1000 }, (_, at) => `${at % 7 === 0 ? 'nar/' : ''}${at}`)
  await Promise.all(names.map((name) => putText(transport, name, name)))
  await putText(transport, 'last', 'last')
  expect(filesIn()).toEqual([...names, 'last'].toSorted())
  for (const name of names) expect(readFileSync(join(bed.dir, name), 'utf8')).toBe(name)
})

test('one that can’t come there holds up none of the others', async () => {
  const transport = open()
  mkdirSync(join(bed.dir, '7'))
  const names = Array.from({ length: 40 }, (_, at) => `${at}`)
  const results = await Promise.allSettled(names.map((name) => putText(transport, name)))
  expect(results.flatMap(({ status }, at) => (status === 'rejected' ? [at] : []))).toEqual([7])
  expect(filesIn()).toEqual(names.filter((name) => name !== '7').toSorted())
})

test('what a dead writer left is swept after a day, and what somebody else may be writing is not', async () => {
  const temporary = join(bed.dir, 'nar/.nix-upload-tmp')
  mkdirSync(temporary, { recursive: true })
  for (const [name, ageMs] of [
    ['old', DAY_MS + 60_000],
    ['young', DAY_MS - 60_000],
  ] as const) {
    const seconds = (Date.now() - ageMs) / 1000
    writeFileSync(join(temporary, name), 'half')
    utimesSync(join(temporary, name), seconds, seconds)
  }
  await putText(open(), 'nar/x')
  expect(filesIn()).toEqual(['nar/.nix-upload-tmp/young', 'nar/x'])
})

test('a destination that was emptied while we run is made anew', async () => {
  const transport = open()
  await putText(transport, 'nar/a')
  rmSync(join(bed.dir, 'nar'), { recursive: true })
  await putText(transport, 'nar/b')
  rmSync(join(bed.dir, 'nar'), { recursive: true })
  await put(transport, 'nar/c', stream(1000))
  expect(filesIn()).toEqual(['nar/c'])
})

test('on a slow disk the files of each filesystem are synced together where they are many', () => {
  const [bin, log] = [join(bed.dir, 'bin'), join(bed.dir, 'log')]
  mkdirSync(bin)
  writeFileSync(join(bin, 'sync'), `#!/bin/sh\necho "$*" >> '${log}'\nPATH=/usr/bin:/bin exec sync "$@"\n`)
  chmodSync(join(bin, 'sync'), 0o755)
  const elsewhere = join('/dev/shm', `nix-upload-${process.pid}`)
  mkdirSync(elsewhere)
  onTestFinished(() => rmSync(elsewhere, { recursive: true }))
  mkdirSync(join(bed.dir, 'root'))
  symlinkSync(elsewhere, join(bed.dir, 'root/nar'))
  const putFiles = (count: number) => {
    const slowly = ['-f', '-qq', '-o', '/dev/null', '-e', 'inject=fsync:delay_exit=15000']
    const program = [process.execPath, join(import.meta.dirname, 'put-files.ts')]
    const args = [`file://${bed.dir}/root`, String(count), '100', '1']
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` }
    const { status } = spawnSync('strace', [...slowly, ...program, ...args], { env, stdio: 'ignore' })
    expect(status).toBe(0)
  }
  putFiles(1)
  expect(existsSync(log)).toBe(false)
  putFiles(40)
  const synced = readFileSync(log, 'utf8').trimEnd().split('\n')
  expect(synced).toEqual([expect.stringMatching(`^-f ${bed.dir}/root/nar/`)])
})
