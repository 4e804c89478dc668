// Names, job files and answers can hold what a terminal obeys. Whoever looks at them (a log on a terminal, the same log
// in a file, `--json`, `cat` of a rewritten job or of the note beside a rejected one, the hook's line) is not at its mercy.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { build } from '../cli/cli.ts'
import { bed, runHook } from '../hook/bed.ts'
import { inWorld } from '../proof/programs.ts'
import { NIX_UPLOAD, VALID } from '../proof/world.ts'
import { runProgram } from '../support/run.ts'

beforeAll(build)

const EVIL = '\u001b]0;owned\u0007\u001b[2J\u009b2J\u202e\u2028\r\n'
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

/** What is left when colours and the ends of lines are taken away. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  return text.replaceAll(/\u001b\[\d*(;\d+)*m/g, '').replaceAll(/\r?\n/g, '')
}

test.each(['a file', 'a terminal'])(
  'a log that goes to %s, and all that is left to look at',
  async (where) => {
    await inWorld(async ({ spool, cache, env, dir }) => {
      const put = (name: string, text: string) => writeFileSync(join(spool.new, name), text)
      put(`bad${EVIL}.json`, JSON.stringify({ outPaths: [EVIL] }))
      put(`worse${EVIL}`, `{"${EVIL}`)
      put(`good${EVIL}.json`, JSON.stringify({ outPaths: [VALID[0]], mine: EVIL }))
      put(
        'refused',
        JSON.stringify({ outPaths: [VALID[3]], destinations: { [EVIL]: { state: 'done', error: EVIL } } }),
      )
      const drain = `${NIX_UPLOAD} drain --to file://${cache}`
      const onTerminal = ['-qec', drain, join(dir, 'typescript')]
      const { stdout, stderr } =
        where === 'a terminal'
          ? await runProgram('/usr/bin/script', onTerminal, {
              env: { ...env, SHELL: '/bin/sh', TERM: 'xterm' },
            })
          : await runProgram('/bin/sh', ['-c', drain], { env })
      expect(stdout + stderr).toContain('no valid job')
      expect(plain(stdout + stderr)).not.toMatch(OBEYED)
      expect(readdirSync(spool.done).filter((name) => name.startsWith('good'))).toHaveLength(1)

      const files = [spool.done, spool.new, spool.failed].flatMap((directory) =>
        readdirSync(directory)
          .filter((name) => /^good|^refused|\.reason$/.test(name))
          .map((name) => join(directory, name)),
      )
      expect(files).toHaveLength(4)
      for (const file of files) expect(plain(readFileSync(file, 'utf8'))).not.toMatch(OBEYED)

      for (const args of [
        ['list'],
        ['list', '--json'],
        ['status'],
        ['status', '--json'],
        ['show', 'bad', '--json'],
        ['show', 'refused'],
      ]) {
        const shown = await runProgram(NIX_UPLOAD, args, { env, cwd: '/' })
        expect(plain(shown.stdout + shown.stderr), args.join(' ')).not.toMatch(OBEYED)
        if (args.includes('--json')) expect(() => JSON.parse(shown.stdout)).not.toThrow()
      }
    })
  },
)

test('a path in a job that nobody has checked yet', async () => {
  await inWorld(async ({ spool, env }) => {
    const path = `/\u001b[2J\u009b/${basename(VALID[0] ?? '')}`
    writeFileSync(join(spool.new, 'job'), JSON.stringify({ outPaths: [path], drvPath: `${path}.drv` }))
    const { stdout } = await runProgram(NIX_UPLOAD, ['show', 'job'], { env, cwd: '/' })
    expect(stdout).toContain('\\u{1b}[2J')
    expect(plain(stdout)).not.toMatch(OBEYED)
  })
})

test("the hook's line", async () => {
  const { stdout, stderr } = await runHook(bed(), {
    OUT_PATHS: `/nix/${EVIL.replaceAll('\n', '')}/store`,
    DRV_PATH: undefined,
  })
  expect(stdout + stderr).toMatch(/^nix-upload: not queued: [ -~]*$/)
})
