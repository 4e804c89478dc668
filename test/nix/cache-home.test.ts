import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeCacheHome, removeCacheHome, sweepCacheHomes } from '../../src/nix/cache-home.ts'
import { tempDir } from '../spool/temp-spool.ts'

const before = process.env.TMPDIR
beforeEach(() => {
  process.env.TMPDIR = tempDir()
})
afterEach(() => {
  process.env.TMPDIR = before
})

test('what a process that was killed left is swept; what living ones and others have stays', async () => {
  const killed = spawn('sleep', ['60'])
  const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0]
  const make = (name: string) => mkdirSync(join(process.env.TMPDIR ?? '', name, 'nix'), { recursive: true })
  make(`nix-upload-${namespace}-${killed.pid}-abcdef`)
  make(`nix-upload-${namespace}-1-abcdef`)
  make(`nix-upload-1-${killed.pid}-abcdef`) // of another container
  make(`nix-upload-proof-${killed.pid}`)
  const own = makeCacheHome()
  expect(sweepCacheHomes()).toBe(0)
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  expect(sweepCacheHomes()).toBe(1)
  expect(readdirSync(process.env.TMPDIR ?? '')).toHaveLength(4)
  expect(existsSync(own)).toBe(true)
  await removeCacheHome(own)
  expect(existsSync(own)).toBe(false)
})
