import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { narHashAt } from '../../../src/cache/nar/nar-blocks.ts'
import { everyNix } from '../../support/nix-versions.mjs'
import { makePrivateNix } from '../../support/private-nix.ts'
import { must } from '../../support/run.ts'

const MUCH = 1 << 20

const CONTENTS: Record<string, (path: string) => void> = {
  'a file': (path) => writeFileSync(path, 'content'),
  'an empty file': (path) => writeFileSync(path, ''),
  'a file of eight bytes': (path) => writeFileSync(path, '12345678'),
  'a file that may be executed': (path) => writeFileSync(path, '#!/bin/sh\n', { mode: 0o755 }),
  'a file that its group may execute, which is no mark': (path) => {
    writeFileSync(path, 'x')
    chmodSync(path, 0o654)
  },
  'a link': (path) => symlinkSync('../some/where/else', path),
  'a link to nothing': (path) => symlinkSync('nothing', path),
  'an empty directory': (path) => mkdirSync(path),
  'directories of all of them': (path) => {
    mkdirSync(join(path, 'deep/er'), { recursive: true })
    // By bytes, that is neither the order of a dictionary nor that of UTF-16.
    for (const name of ['b', 'B', 'a', 'a.b', 'a-b', 'é', 'z', '\u{ff5e}', '\u{1f600}'])
      writeFileSync(join(path, name), name)
    symlinkSync('a', join(path, 'deep/link'))
    writeFileSync(join(path, 'deep/er/program'), 'x', { mode: 0o700 })
  },
}

function temporary(): string {
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-nar-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return join(dir, 'it')
}

describe.each(await everyNix())('as $name has it', (version) => {
  let ask: (path: string) => Promise<string>

  beforeAll(async () => {
    const nix = await makePrivateNix(version, { name: 'nar' })
    ask = async (path) => {
      const args = ['--type', 'sha256', '--base32', path]
      return `sha256:${must(await nix.run('nix-hash', args), 'hash').stdout.trim()}`
    }
    return () => nix.cleanup()
  })

  test.each(Object.entries(CONTENTS))('%s', async (_, make) => {
    const path = temporary()
    make(path)
    expect(narHashAt(path, MUCH)).toBe(await ask(path))
  })
})

test('what belongs into no archive is refused, and not waited for', () => {
  const path = temporary()
  execFileSync('mkfifo', [path])
  expect(() => narHashAt(path, MUCH)).toThrow(/not packed/)
})

test('of more than is asked for, nothing more is read', () => {
  const path = temporary()
  mkdirSync(path)
  writeFileSync(join(path, 'one'), 'x'.repeat(600))
  expect(narHashAt(path, 1000)).toMatch(/^sha256:/)
  writeFileSync(join(path, 'two'), 'x'.repeat(600))
  expect(() => narHashAt(path, 1000)).toThrow(/not packed/)
})

test('what can not be read is an error', () => {
  expect(() => narHashAt('/nowhere', MUCH)).toThrow(/ENOENT/)
})
