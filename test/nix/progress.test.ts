import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CopyProgress } from '../../src/nix/progress.ts'
import { everyNix } from '../support/nix-versions.mjs'
import { makePrivateNix } from '../support/private-nix.ts'

const BYTES = 3_000_000
const COPY = ['--extra-experimental-features', 'nix-command', '--log-format', 'internal-json', 'copy', '--to']

test.each(await everyNix())('how far a copy is, as $name tells it', async (version) => {
  const nix = await makePrivateNix(version, { name: 'progress' })
  try {
    const text = () => randomBytes(BYTES / 2).toString('hex')
    const paths = await nix.addAllToStore({ one: text(), two: text(), empty: '' })
    const { stderr } = await nix.run('nix', [
      ...COPY,
      `file://${join(nix.dir, 'cache')}?compression=none`,
      ...paths,
    ])
    const progress = new CopyProgress()
    const seen = stderr.split('\n').flatMap((line) => (progress.read(line) ? [progress.sentBytes] : []))
    if (version.version === '2.8.0') {
      expect([progress.sentBytes, progress.expectedBytes, seen]).toEqual([0, 0, []])
      return
    }
    // NARs have some bytes of their own around the files.
    expect(progress.expectedBytes).toBeGreaterThan(2 * BYTES)
    expect(progress.expectedBytes).toBeLessThan(2 * BYTES + 1000)
    expect(progress.sentBytes / progress.expectedBytes).toBeGreaterThan(0.999)
    expect(progress.sentBytes).toBeLessThanOrEqual(progress.expectedBytes)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect(seen.filter((bytes) => bytes > 0.1 * BYTES && bytes < 1.9 * BYTES).length).toBeGreaterThan(10)
  } finally {
    await nix.cleanup()
  }
})

test('what is no progress is passed over', () => {
  const progress = new CopyProgress()
  for (const line of [
    '',
    'ssh: something',
    '@nix {',
    '@nix null',
    '@nix {"action":"result","type":105,"id":1,"fields":[5,10,0,0]}',
    '@nix {"action":"result","type":106,"id":1,"fields":[101,10]}',
    '@nix {"action":"result","type":106,"id":1,"fields":["100",10]}',
    '@nix {"action":"msg","level":3,"msg":"\\"type\\":105"}',
  ]) {
    expect(progress.read(line)).toBe(false)
  }
  expect(progress).toMatchObject({ sentBytes: 0, expectedBytes: 0 })
})
