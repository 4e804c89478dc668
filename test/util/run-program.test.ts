import { mkdtempSync, realpathSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NotStartedError, run } from '../../src/util/run-program.ts'

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

test.each([
  ['is not there', 'no-such-program', /^there is no program "no-such-program" on PATH; install it/],
  ['may not be executed', '/etc/passwd', /EACCES; let this user execute it/],
])('a program that %s', async (_, program, says) => {
  const error = await run(program, []).catch((thrown: unknown) => thrown)
  if (!(error instanceof NotStartedError)) throw error
  expect(`${error.message}; ${error.remedy}`).toMatch(says)
})

test('where no file handles are left, nobody is told to install the program', async () => {
  const script = `import { openSync } from 'node:fs'
    import { run } from '${new URL('../../src/util/run-program.ts', import.meta.url).href}'
    await run('true', [])
    try { for (;;) openSync('/dev/null') } catch {}
    try { await run('true', []) } catch (error) { process.stdout.write(error.remedy) }`
  const { stdout } = await run('prlimit', [
    '--nofile=64:64',
    process.execPath,
    '--input-type=module',
    '-e',
    script,
  ])
  expect(stdout).toMatch(/^no file handles are left/)
})
