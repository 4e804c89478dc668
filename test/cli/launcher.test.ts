import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import { tempDir } from '../spool/temp-spool.ts'
import { runProgram } from '../support/run.ts'
import { build, LAUNCHER, ROOT } from './cli.ts'

beforeAll(build)

const TOO_OLD =
  /^nix-upload needs Node 22\.22 or newer; this is v[\d.]+ \(.+\)\. As root, type: npm install --global node@24$/

/** Every Node on this machine that is too old. */
const OLD = await oldNodes()

async function oldNodes(): Promise<string[]> {
  const dirs = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin']
  const nodes = [...new Set(dirs.map((dir) => join(dir, 'node')).filter((path) => existsSync(path)))]
  const versions = await Promise.all(nodes.map((node) => execa(node, ['--version'], { reject: false })))
  return nodes.filter((_, at) => /^v(\d|1\d|2[01])\./.test(versions[at]?.stdout ?? ''))
}

describe('an older Node says on one line what is needed', () => {
  // The Node that runs the tests, said to be an older one: the check is seen everywhere, old syntax only below.
  test.each(['20.20.2', '22.21.1', '18.0.0'])('%s', async (version) => {
    const preload = join(tempDir(), 'older.cjs')
    const values = `{ ...process.versions, node: '${version}' }`
    writeFileSync(preload, `Object.defineProperty(process, 'versions', { value: ${values} })`)
    const { stdout, stderr, exitCode } = await runProgram(
      process.execPath,
      ['--require', preload, LAUNCHER, 'status'],
      {},
    )
    expect(stderr).toMatch(TOO_OLD)
    expect([exitCode, stdout]).toEqual([1, ''])
  })

  for (const node of OLD) {
    test(`this machine's ${node}`, async () => {
      const { stdout, stderr, exitCode } = await runProgram(node, [LAUNCHER, 'status'], {})
      expect(stderr).toMatch(TOO_OLD)
      expect([exitCode, stdout]).toEqual([1, ''])
    })
  }
})

test('a checkout that is not built says so', async () => {
  const dir = tempDir()
  mkdirSync(join(dir, 'bin'))
  copyFileSync(LAUNCHER, join(dir, 'bin/nix-upload'))
  const { stderr, exitCode } = await runProgram(process.execPath, [join(dir, 'bin/nix-upload'), 'status'], {})
  expect(stderr).toMatch(
    /^nix-upload is not built or not installed whole \(.+\); in a checkout, type: npm start$/,
  )
  expect(exitCode).toBe(1)
})

test('it runs from anywhere, over a symlink too, by the Node that is on PATH', async () => {
  const dir = tempDir()
  const env = { PATH: `${join(ROOT, 'node_modules/.bin')}:/usr/bin:/bin` }
  await execa('ln', ['-s', LAUNCHER, join(dir, 'nix-upload')])
  const { stdout, exitCode } = await runProgram(join(dir, 'nix-upload'), ['--version'], { env, cwd: '/' })
  expect(stdout).toMatch(/^\d+\.\d+\.\d+$/)
  expect(exitCode).toBe(0)
})
