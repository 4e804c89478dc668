import { mkdtempSync, realpathSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from '../../src/util/run-program.ts'

test('a program is run where we are, or in / where that directory is gone', async () => {
  const before = process.cwd()
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'nix-upload-run-')))
  process.chdir(dir)
  try {
    expect((await run('pwd', [])).stdout).toBe(`${dir}\n`)
    rmdirSync(dir)
    expect((await run('pwd', [])).stdout).toBe('/\n')
  } finally {
    process.chdir(before)
  }
})
