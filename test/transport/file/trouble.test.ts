// A directory in trouble: written to by processes of their own, that are killed, or have no room, no right, no handles.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { runProgram } from '../../support/run.ts'
import { withFileSystem, withoutPrivileges } from '../../support/servers/failing-copy.ts'
import { temporaryDirectory } from '../bed.ts'

const PUT_FILES = join(import.meta.dirname, 'put-files.ts')

const REPORT = z.object({
  failed: z.number(),
  verdict: z.object({ blame: z.string(), permanent: z.boolean(), message: z.string() }).optional(),
  isOfOneFile: z.boolean().optional(),
})

/** Puts files in a process of its own, in some circumstances. Returns what became of it. */
async function putFiles(dir: string, count: number, bytes: number, within: readonly string[] = []) {
  const [program = '', ...args] = [...within, process.execPath, PUT_FILES]
  const all = [...args, `file://${dir}`, `${count}`, `${bytes}`, '1']
  const { stdout, stderr } = await runProgram(program, all, { env: { PATH: process.env.PATH ?? '' } })
  const [, report = ''] = stdout.split('\n')
  if (report === '') throw new Error(stderr)
  return REPORT.parse(JSON.parse(report))
}

test('whoever is killed leaves no half of a file under its name', async () => {
  const bytes = 200_000
  let files = 0
  for (const after of [0, 1, 10, 50, 200]) {
    const dir = await temporaryDirectory()
    const args = [PUT_FILES, `file://${dir}`, '40', `${bytes}`, '1000']
    const writer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(writer.stdout, 'data')
    while (namesIn(dir).length < after) await sleep(1)
    writer.kill('SIGKILL')
    await once(writer, 'exit')
    for (const name of namesIn(dir)) {
      files++
      expect(readFileSync(join(dir, name)).equals(Buffer.alloc(bytes, name)), name).toBe(true)
    }
  }
  expect(files).toBeGreaterThanOrEqual(261)
})

/** Those that are there, without what is being written. */
function namesIn(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.endsWith('.nix-upload-tmp'))
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
}

test.each([
  [
    'no room is left, for a file of this size',
    'size=1m',
    true,
    /disk of the destination is full: make room there; .*no space left on device/,
  ],
  ['it is read-only', 'ro', false, /filesystem that is read-only: mount it .*read-only file system/],
])('%s', async (_, options, isOfOneFile, says) => {
  const dir = await temporaryDirectory()
  const report = await putFiles(dir, 2, 3_000_000, withFileSystem(dir, options))
  expect(report).toMatchObject({
    failed: 2,
    verdict: { blame: 'destination', permanent: false, message: expect.stringMatching(says) },
    isOfOneFile,
  })
})

test('we may not write there', async () => {
  const dir = await temporaryDirectory()
  mkdirSync(join(dir, 'root'), { mode: 0o555 })
  const { verdict, failed } = await putFiles(join(dir, 'root'), 2, 10, withoutPrivileges())
  expect(failed).toBe(2)
  expect(verdict).toMatchObject({ blame: 'destination', permanent: false })
  expect(verdict?.message).toMatch(
    /may not write there: give it the directory \(chown\).*permission denied: .*root/,
  )
  chmodSync(join(dir, 'root'), 0o755)
})

test('nobody can make a directory there', async () => {
  const { verdict, failed } = await putFiles('/proc/nix-upload/cache', 2, 10)
  expect(failed).toBe(2)
  expect(verdict).toMatchObject({ blame: 'destination', permanent: false })
  expect(verdict?.message).toMatch(
    /directory \/proc\/nix-upload\/cache can't be used.*no such file.*: \/proc\//,
  )
})

test('it is a symlink to a place that is not mounted', async () => {
  const dir = await temporaryDirectory()
  symlinkSync(join(dir, 'not-mounted', 'cache'), join(dir, 'link'))
  const { verdict, failed } = await putFiles(join(dir, 'link'), 2, 10)
  expect(failed).toBe(2)
  expect(verdict).toMatchObject({ blame: 'destination', permanent: false })
  expect(verdict?.message).toMatch(/link is a symlink that leads nowhere: is something not mounted\?/)
  expect(readdirSync(dir)).toEqual(['link'])
})

test('it may be written to but not read', async () => {
  const dir = await temporaryDirectory()
  chmodSync(dir, 0o755)
  mkdirSync(join(dir, 'root/nar'), { recursive: true })
  for (const each of ['root', 'root/nar']) chmodSync(join(dir, each), 0o333)
  expect(await putFiles(join(dir, 'root'), 20, 10, withoutPrivileges())).toEqual({ failed: 0 })
  expect(namesIn(dir)).toHaveLength(20)
})

/** Some calls of the system fail, as `strace` has it. */
const failing = (...calls: string[]) => [
  'strace',
  '-f',
  '-qq',
  '-o',
  '/dev/null',
  ...calls.flatMap((call) => ['-e', `inject=${call}`]),
]

test('its filesystem syncs no directories', async () => {
  const dir = await temporaryDirectory()
  mkdirSync(join(dir, 'nar'))
  const within = failing('fsync:error=EINVAL')
  expect(await putFiles(dir, 20, 10, [...within, '-P', join(dir, 'nar')])).toEqual({ failed: 0 })
  expect(namesIn(dir)).toHaveLength(20)
})

test('its disk breaks, and from then on it is read-only: the first reason counts', async () => {
  const dir = await temporaryDirectory()
  // The first two are those of the directories.
  const within = failing('fsync:error=EIO:when=3+', 'unlink,unlinkat,rmdir:error=EROFS')
  mkdirSync(join(dir, 'nar/.nix-upload-tmp'), { recursive: true })
  const { failed, verdict } = await putFiles(dir, 20, 10, within)
  expect(failed).toBe(20)
  expect(verdict?.message).toMatch(/disk of the destination has errors.*i\/o error/)
})

test('it takes no names of this length', async () => {
  const dir = await temporaryDirectory()
  const { verdict, isOfOneFile } = await putFiles(dir, 2, 10, failing('rename:error=ENAMETOOLONG'))
  expect(verdict?.message).toMatch(/does not take a name of this length/)
  expect(isOfOneFile).toBe(true)
})

test('a file may not be replaced, as in a directory with the sticky bit: that is about this file', async () => {
  const dir = await temporaryDirectory()
  const within = failing('rename:error=EPERM')
  const of = await putFiles(dir, 2, 10, within)
  expect(of).toMatchObject({ failed: 2, isOfOneFile: false })
  expect(of.verdict?.message).toMatch(/may not write there/)
  for (const name of ['0-0', '0-1']) writeFileSync(join(dir, 'nar', name), "somebody else's")
  const there = await putFiles(dir, 2, 10, within)
  expect(there).toMatchObject({ failed: 2, isOfOneFile: true })
  expect(there.verdict?.message).toMatch(/belongs to somebody else.*nar\/0-0 may not be replaced/)
})

test('128 file handles are enough for hundreds of files at once', async () => {
  const dir = await temporaryDirectory()
  const within = ['prlimit', '--nofile=128:128']
  // One in ten is a stream, which has a handle of its own.
  expect(await putFiles(dir, 500, 1000, within)).toEqual({ failed: 0 })
  expect(namesIn(dir)).toHaveLength(500)
})
