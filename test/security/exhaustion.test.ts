// Files that are too much: for the memory, for the stack, for a command line, for patience. Each is set aside or
// delivered, in little memory, and good jobs get through.

import { closeSync, ftruncateSync, openSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MAX_FILE_BYTES, MAX_JOB_BYTES } from '../../src/spool/job-file.ts'
import { Daemon, until } from '../integration/daemon.ts'
import { stateOf } from '../proof/process-state.ts'
import { inWorld } from '../proof/programs.ts'
import { evidence, IS_WHOLE } from '../proof/share.ts'
import { storePath } from '../proof/store.ts'
import { NIX_UPLOAD, VALID } from '../proof/world.ts'
import { runProgram } from '../support/run.ts'

const JUNK = IS_WHOLE ? 20_000 : 200
const MOST_MB = 300

test('a 2 GB file, a million outputs, deep nesting, much junk and long names', {
  timeout: IS_WHOLE ? 1_200_000 : 120_000,
}, async () => {
  await inWorld(async (world) => {
    const { spool, cache, env } = world
    const put = (name: string, text: string) => writeFileSync(join(spool.new, name), text)
    const sparse = openSync(join(spool.new, 'sparse'), 'w')
    ftruncateSync(sparse, 2 ** 31)
    closeSync(sparse)
    put('million', JSON.stringify({ outPaths: Array(1_000_000).fill(storePath('x')) }))
    put('deep', `{"outPaths":${'['.repeat(400_000)}${']'.repeat(400_000)}}`)
    put(
      'wide',
      JSON.stringify({ outPaths: ['/etc/passwd'], more: Object.fromEntries(Array(50_000).entries()) }),
    )
    for (let at = 0; at < JUNK; at++) put(`junk-${at}`, '{')
    const long = `${'n'.repeat(250)}.json`
    put(long, JSON.stringify({ outPaths: [VALID[0]] }))
    writeFileSync(Buffer.concat([Buffer.from(join(spool.new, 'name-')), Buffer.from([0xff])]), '{}')
    const bad = 4 + JUNK

    const daemon = new Daemon(NIX_UPLOAD, ['watch', '--to', `file://${cache}`], env)
    const failed = () => readdirSync(spool.failed).filter((name) => !name.endsWith('.reason')).length
    const done = () => readdirSync(spool.done).filter((name) => !name.startsWith('.'))
    await until(
      () => failed() === bad,
      () => `${bad} in failed/, and not ${failed()}`,
      IS_WHOLE ? 1_000_000 : 60_000,
    )
    await until(() => done().length === 1, 'the good job')
    const { rss } = stateOf(daemon.pid)
    for (const args of [['list'], ['status'], ['show', 'million']]) {
      expect(await runProgram(NIX_UPLOAD, args, { env, cwd: '/' }), args[0]).toMatchObject({ exitCode: 0 })
    }
    expect(await daemon.stop()).toBe(0)
    evidence(`exhaustion: ${bad} bad files set aside, the daemon then had ${rss} MB`)
    expect(rss).toBeLessThan(MOST_MB)
    expect(done()).toEqual([long])
  })
})

test('a job of the largest size that fails stays a job, and can be requeued', async () => {
  await inWorld(async (world) => {
    const { spool, cache, env } = world
    const gone = { outPaths: [storePath('gone')], mine: '' }
    gone.mine = 'x'.repeat(MAX_JOB_BYTES - JSON.stringify(gone).length)
    writeFileSync(join(spool.new, 'large.json'), JSON.stringify(gone))
    for (const round of [1, 2]) {
      const { exitCode, stderr } = await runProgram(NIX_UPLOAD, ['drain', '--to', `file://${cache}`], {
        env,
        cwd: '/',
      })
      expect(exitCode, stderr.slice(0, 2000)).toBe(1)
      expect(readdirSync(spool.failed), `round ${round}`).toEqual(['large.json'])
      expect(statSync(join(spool.failed, 'large.json')).size).toBeLessThan(MAX_FILE_BYTES)
      for (const line of stderr.split('\n')) expect(line.length).toBeLessThan(5000)
      expect(await runProgram(NIX_UPLOAD, ['requeue', 'large'], { env, cwd: '/' })).toMatchObject({
        exitCode: 0,
      })
    }
  })
})
