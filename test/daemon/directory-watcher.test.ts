import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { DirectoryWatcher } from '../../src/daemon/directory-watcher.ts'
import { tempDir } from '../spool/temp-spool.ts'

/** A watcher of a directory, and somewhere to write files before they are renamed into it. */
async function withWatcher() {
  const dir = tempDir()
  for (const name of ['new', 'tmp']) mkdirSync(join(dir, name))
  const heard: string[] = []
  const watcher = new DirectoryWatcher(join(dir, 'new'), (name) => heard.push(name))
  onTestFinished(() => watcher.stop())
  const handOver = (name: string) => {
    writeFileSync(join(dir, 'tmp', name), '')
    renameSync(join(dir, 'tmp', name), join(dir, 'new', name))
  }
  return { dir, heard, watcher, handOver }
}

test('tells within a moment when a job is renamed into the directory, and names it', async () => {
  const { heard, watcher, handOver } = await withWatcher()
  await watcher.start()
  handOver('X.json')
  await vi.waitFor(() => expect(heard).toContain('X.json'), { timeout: 2000, interval: 5 })
  expect(watcher.takeNames()).toEqual(new Set(['X.json']))
  expect(watcher.takeNames()).toEqual(new Set())
})

test('says nothing of what was there before, nor of what happens in directories below', async () => {
  const { dir, heard, watcher, handOver } = await withWatcher()
  handOver('before.json')
  mkdirSync(join(dir, 'new/directory'))
  await watcher.start()
  writeFileSync(join(dir, 'new/directory/inside.json'), '')
  handOver('after.json')
  await vi.waitFor(() => expect(heard).toContain('after.json'), { timeout: 60_000 })
  expect(new Set(heard)).toEqual(new Set(['after.json']))
})

test('keeps a thousand names and then only that it missed some, until it was asked', async () => {
  const { heard, watcher, handOver } = await withWatcher()
  await watcher.start()
  for (let at = 0; at < 1500; at++) handOver(`${at}.json`)
  await vi.waitFor(() => expect(heard.length).toBeGreaterThanOrEqual(1500), { timeout: 60_000 })
  expect(watcher.takeNames()).toBeUndefined()
  handOver('X.json')
  await vi.waitFor(() => expect(watcher.takeNames()?.has('X.json')).toBe(true), { timeout: 60_000 })
})

test('watches no directory that was deleted, nor another one by its name, until it is started again', async () => {
  const { dir, heard, watcher, handOver } = await withWatcher()
  expect(watcher.isWatching).toBe(false)
  await watcher.start()
  expect(watcher.isWatching).toBe(true)
  rmSync(join(dir, 'new'), { recursive: true })
  expect(watcher.isWatching).toBe(false)
  mkdirSync(join(dir, 'keeps the inode from being used again'))
  mkdirSync(join(dir, 'new'))
  expect(watcher.isWatching).toBe(false)
  await watcher.start()
  handOver('X.json')
  await vi.waitFor(() => expect(heard).toContain('X.json'), { timeout: 60_000 })
  expect(watcher.isWatching).toBe(true)
})

test('is silent once it is stopped', async () => {
  const { dir, heard, watcher, handOver } = await withWatcher()
  await watcher.start()
  await watcher.stop()
  await watcher.stop()
  handOver('X.json')
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect([heard, watcher.isWatching, existsSync(join(dir, 'new/X.json'))]).toEqual([[], false, true])
})
