import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmdirSync, symlinkSync, truncateSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { NotAJobError } from '../../src/spool/job-file.ts'
import { entriesOf, mayBeJob, readJob } from '../../src/spool/read.ts'
import { jobText, put, STORE, storePath, tempSpool, unprivileged } from './temp-spool.ts'

describe('reading a job', () => {
  test('gives the job, or undefined where the file is gone, which is no error', () => {
    const { spool } = tempSpool()
    const path = put(spool, 'new', 'X.json')
    expect(readJob(path, STORE)).toMatchObject({ outPaths: [storePath('hello')] })
    expect(readJob(join(spool.new, 'Y.json'), STORE)).toBeUndefined()
  })

  test.each([
    {
      what: 'a directory',
      reason: /^it is a directory, not a regular file$/,
      make: (path: string) => mkdirSync(path),
    },
    {
      what: 'a symlink',
      reason: /^it is a symlink, not/,
      make: (path: string) => symlinkSync('valid.json', path),
    },
    {
      what: 'a dangling symlink',
      reason: /^it is a symlink, not/,
      make: (path: string) => symlinkSync('no', path),
    },
    {
      what: 'a FIFO, without waiting for a writer',
      reason: /^it is not a regular file$/,
      make: (path: string) => execFileSync('mkfifo', [path]),
    },
    { what: 'a socket', reason: /^it is a socket or a FIFO, not/, make: listen },
    {
      what: 'a file of 10 MB, unread',
      reason: /^it is 10485760 bytes long; a job has at most 1048576$/,
      make: makeLarge,
    },
  ])('S6: refuses $what', async ({ make, reason }) => {
    const { spool } = tempSpool()
    put(spool, 'new', 'valid.json')
    const path = join(spool.new, 'X.json')
    await make(path)
    expect(() => readJob(path, STORE)).toThrow(NotAJobError)
    expect(() => readJob(path, STORE)).toThrow(reason)
  })

  test('S6: refuses what it may not read, and says why', () => {
    const { dir, spool } = tempSpool()
    const path = put(spool, 'new', 'X.json')
    chmodSync(path, 0o000)
    expect(() => unprivileged(dir, () => readJob(path, STORE))).toThrow(
      new NotAJobError(`it cannot be read: permission denied: ${path}`),
    )
  })

  test('takes a job of 1 MiB and none that is a byte longer', () => {
    const { spool } = tempSpool()
    const path = put(spool, 'new', 'X.json', jobText().padEnd(1 << 20))
    expect(readJob(path, STORE)).toBeDefined()
    put(spool, 'new', 'X.json', jobText().padEnd((1 << 20) + 1))
    expect(() => readJob(path, STORE)).toThrow('1048577 bytes')
  })

  test('throws what is not the job’s fault as it is', () => {
    const { spool } = tempSpool()
    const path = join(put(spool, 'new', 'X.json'), 'below a file')
    expect(() => readJob(path, STORE)).toThrow(expect.objectContaining({ code: 'ENOTDIR' }))
  })
})

describe('rule 3: what may be a job', () => {
  test.each([
    ['X.json', true],
    ['X', true],
    ['reason', true],
    ['X.reason.json', true],
    ['X.json.reason', false],
    ['.X.json', false],
    ['.reason', false],
    ['', false],
  ])('%s: %o', (name, expected) => {
    expect(mayBeJob(name)).toBe(expected)
  })
})

test('a directory is read to its end while what was read is moved away, and closed where reading stops early', () => {
  const { spool } = tempSpool()
  const names = Array.from({ length: 2000 }, (_, at) => `${at}`)
  for (const name of names) put(spool, 'new', name)
  const seen = [...entriesOf(spool.new)].map(({ name }) => name)
  expect(seen.sort()).toEqual(names.sort())
  const before = openFiles()
  for (const _ of entriesOf(spool.new)) break
  expect(openFiles()).toBe(before)
})

test('a directory that can’t be read is named', () => {
  const { spool } = tempSpool()
  rmdirSync(spool.cur)
  expect(() => [...entriesOf(spool.cur)]).toThrow(
    expect.objectContaining({ code: 'ENOENT', path: spool.cur }),
  )
})

function openFiles(): number {
  return [...entriesOf('/proc/self/fd')].length
}

async function listen(path: string): Promise<void> {
  const server = createServer()
  onTestFinished(() => {
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
}

function makeLarge(path: string): void {
  execFileSync('touch', [path])
  truncateSync(path, 10 << 20)
}
