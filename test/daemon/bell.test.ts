import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Bell } from '../../src/daemon/bell.ts'
import { tempDir } from '../spool/temp-spool.ts'

/** A bell that hangs over a directory, and somewhere to write files before they are renamed into it. */
async function withBell() {
  const dir = tempDir()
  for (const name of ['new', 'tmp']) mkdirSync(join(dir, name))
  const rings: string[] = []
  const bell = new Bell(join(dir, 'new'), (name) => rings.push(name))
  onTestFinished(() => bell.takeDown())
  const handOver = (name: string) => {
    writeFileSync(join(dir, 'tmp', name), '')
    renameSync(join(dir, 'tmp', name), join(dir, 'new', name))
  }
  return { dir, rings, bell, handOver }
}

test('rings within a moment when a job is renamed into the directory, and names it', async () => {
  const { rings, bell, handOver } = await withBell()
  await bell.hang()
  handOver('X.json')
  await vi.waitFor(() => expect(rings).toContain('X.json'), { timeout: 2000, interval: 5 })
  expect(bell.takeNames()).toEqual(new Set(['X.json']))
  expect(bell.takeNames()).toEqual(new Set())
})

test('says nothing of what was there before, nor of what happens in directories below', async () => {
  const { dir, rings, bell, handOver } = await withBell()
  handOver('before.json')
  mkdirSync(join(dir, 'new/directory'))
  await bell.hang()
  writeFileSync(join(dir, 'new/directory/inside.json'), '')
  handOver('after.json')
  await vi.waitFor(() => expect(rings).toContain('after.json'), { timeout: 60_000 })
  expect(new Set(rings)).toEqual(new Set(['after.json']))
})

test('keeps a thousand names and then only that it missed some, until it was asked', async () => {
  const { rings, bell, handOver } = await withBell()
  await bell.hang()
  for (let at = 0; at < 1500; at++) handOver(`${at}.json`)
  await vi.waitFor(() => expect(rings.length).toBeGreaterThanOrEqual(1500), { timeout: 60_000 })
  expect(bell.takeNames()).toBeUndefined()
  handOver('X.json')
  await vi.waitFor(() => expect(bell.takeNames()?.has('X.json')).toBe(true), { timeout: 60_000 })
})

test('hangs only where its directory does: one that was deleted and made again needs it hung again', async () => {
  const { dir, rings, bell, handOver } = await withBell()
  expect(bell.isHung).toBe(false)
  await bell.hang()
  expect(bell.isHung).toBe(true)
  rmSync(join(dir, 'new'), { recursive: true })
  expect(bell.isHung).toBe(false)
  mkdirSync(join(dir, 'keeps the inode from being used again'))
  mkdirSync(join(dir, 'new'))
  expect(bell.isHung).toBe(false)
  await bell.hang()
  handOver('X.json')
  await vi.waitFor(() => expect(rings).toContain('X.json'), { timeout: 60_000 })
  expect(bell.isHung).toBe(true)
})

test('is silent once it is taken down', async () => {
  const { dir, rings, bell, handOver } = await withBell()
  await bell.hang()
  await bell.takeDown()
  await bell.takeDown()
  handOver('X.json')
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect([rings, bell.isHung, existsSync(join(dir, 'new/X.json'))]).toEqual([[], false, true])
})
