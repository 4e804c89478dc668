// What Nix does when it is told of paths that are needed while it collects garbage.

import { spawn } from 'node:child_process'
import { existsSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test, vi } from 'vitest'
import { tellCollector } from '../../src/nix/temporary-roots.ts'
import { startNixDaemon } from '../support/nix-daemon.ts'
import { nixVersions } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'

const GARBAGE = 10_000

/** So many files to add to a store. */
const files = (name: string, count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`${name}-${at}`, `${name} ${at}`]))

/** A collection that has read the roots and begun to delete. */
async function collection(nix: PrivateNix): Promise<{ isOver: () => boolean; ended: Promise<unknown> }> {
  const child = spawn('nix-store', ['--gc'], { env: nix.env, stdio: ['ignore', 'ignore', 'pipe'] })
  let isOver = false
  const ended = new Promise<void>((resolve) =>
    child.once('exit', () => {
      isOver = true
      resolve()
    }),
  )
  const lines = createInterface(child.stderr)
  await new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      if (line.startsWith("deleting '")) resolve()
    })
  })
  return { isOver: () => isOver, ended }
}

const versions = await nixVersions()

// On a busy machine the collection may be past them before it is told. That shows nothing, so it is done again.
test.each(versions.flatMap((version) => ['', 'daemon'].map((remote) => ({ version, remote }))))(
  'a running collection is told: $name.version, NIX_REMOTE "$remote"',
  { timeout: 120_000, retry: 3 },
  async ({ version, remote }) => {
    const nix = await makePrivateNix(version, { name: 'collector' })
    onTestFinished(() => nix.cleanup())
    // In the middle: Nix deletes in the order of the directory, and tmpfs lists what is newest first.
    await nix.addAllToStore(files('garbage', GARBAGE / 2))
    const paths = await nix.addAllToStore(files('needed', 200))
    await nix.addAllToStore(files('more-garbage', GARBAGE / 2))
    for (const [name, value] of Object.entries(nix.env)) vi.stubEnv(name, value)
    onTestFinished(() => void vi.unstubAllEnvs())
    if (remote !== '') {
      const daemon = await startNixDaemon(nix)
      onTestFinished(() => daemon.stop())
      vi.stubEnv('NIX_REMOTE', remote)
    }
    const { isOver, ended } = await collection(nix)
    // Links alone come too late.
    for (const path of paths) symlinkSync(path, join(nix.gcrootsDir, basename(path)))
    const gone = await tellCollector(paths)
    expect(isOver()).toBe(false)
    await ended
    const left = paths.filter((path) => !gone.has(path))
    expect(left.length).toBeGreaterThan(0)
    expect(left.filter((path) => !existsSync(path))).toEqual([])
    expect([...gone].filter((path) => existsSync(path))).toEqual([])
  },
)

test('what was never there is gone, and nothing is asked about nothing', async () => {
  const [version] = versions
  if (!version) throw new Error('there is no Nix to test with')
  const nix = await makePrivateNix(version, { name: 'collector' })
  onTestFinished(() => nix.cleanup())
  for (const [name, value] of Object.entries(nix.env)) vi.stubEnv(name, value)
  onTestFinished(() => void vi.unstubAllEnvs())
  const never = `${nix.storeDir}/${'0'.repeat(32)}-never`
  const there = await nix.addToStore('there', 'there')
  expect(await tellCollector([never, there, never])).toEqual(new Set([never]))
  expect(await tellCollector([])).toEqual(new Set())
})
