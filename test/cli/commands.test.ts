import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { age, GIVEN_UP, HOUR, jobText, put, putRoot, rooted, tree } from '../spool/temp-spool.ts'
import { bench, build } from './cli.ts'

beforeAll(build)

describe('requeue', () => {
  test('moves failed and done jobs back to new/ and prints their names', async () => {
    const { run, spool } = bench()
    const failed = jobText('hello', { destinations: { s3: GIVEN_UP } })
    put(spool, 'failed', 'one-hello.json', failed)
    put(spool, 'failed', 'other.json')
    put(spool, 'done', 'two-hello.json')
    expect(await run(['requeue', 'one', 'two-hello.json'])).toEqual({
      stdout: 'one-hello.json\ntwo-hello.json',
      stderr: '',
      exitCode: 0,
    })
    expect(tree(spool)).toEqual({ new: ['one-hello.json', 'two-hello.json'], failed: ['other.json'] })
  })

  test('--all moves all that failed, and nothing else', async () => {
    const { run, spool } = bench()
    for (const name of ['a.json', 'b.json', 'b.json.reason', '.hidden']) put(spool, 'failed', name)
    put(spool, 'done', 'd.json')
    const { stdout, exitCode } = await run(['requeue', '--all'])
    expect([exitCode, stdout.split('\n').sort()]).toEqual([0, ['a.json', 'b.json']])
    expect(tree(spool)).toEqual({
      new: ['a.json', 'b.json'],
      done: ['d.json'],
      failed: ['.hidden', 'b.json.reason'],
    })
    expect(await run(['requeue', '--all'])).toEqual({ stdout: '', stderr: '', exitCode: 0 })
  })

  test('of what is not there, or not settled, says so, fails, and still moves the others', async () => {
    const { run, spool } = bench()
    put(spool, 'failed', 'one.json')
    put(spool, 'cur', 'waiting.json')
    const { stdout, stderr, exitCode } = await run(['requeue', 'nothing', 'waiting', '', 'one'])
    expect([exitCode, stdout]).toEqual([1, 'one.json'])
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^nix-upload: no job .* has "nothing" in its name/),
      expect.stringMatching(/^nix-upload: no job .* has "waiting" in its name/),
      expect.stringMatching(/^nix-upload: which job\?/),
    ])
    expect(tree(spool)).toEqual({ new: ['one.json'], cur: ['waiting.json'] })
  })

  test('of several that are meant by one name lists them, on a line each', async () => {
    const { run, spool } = bench()
    put(spool, 'failed', 'one-hello.json')
    put(spool, 'done', 'two-hello.json')
    const { stderr, exitCode } = await run(['requeue', 'hello'])
    expect([exitCode, stderr.split('\n').toSorted()]).toEqual([
      1,
      [
        '  done/two-hello.json',
        '  failed/one-hello.json',
        'nix-upload: several jobs in failed/ or done/ have "hello" in their names; say more of it:',
      ],
    ])
  })
})

describe('prune', () => {
  const toDelete = (temp: ReturnType<typeof bench>) => {
    age(put(temp.spool, 'done', 'old.json'), 8 * 24 * HOUR)
    age(put(temp.spool, 'done', 'young.json'), 6 * 24 * HOUR)
    age(put(temp.spool, 'failed', 'old.json.failed'), 999 * HOUR)
    age(put(temp.spool, 'tmp', 'abandoned'), 37 * HOUR)
    putRoot(temp, 'nobody.json', undefined, 37 * HOUR)
  }

  test('applies retention now and tells what it deleted', async () => {
    const temp = bench()
    toDelete(temp)
    const { stdout, exitCode } = await temp.run(['prune'])
    expect([exitCode, stdout.match(/\d+/g)]).toEqual([0, ['1', '1', '1']])
    expect(tree(temp.spool)).toEqual({ done: ['young.json'], failed: ['old.json.failed'] })
    expect(rooted(temp)).toEqual([])
  })

  test('keeps what the configuration says', async () => {
    const temp = bench('keep-done = "30d"\nkeep-done-count = 1\n')
    toDelete(temp)
    await temp.run(['prune'])
    expect(tree(temp.spool).done).toEqual(['young.json'])
  })

  test('finds no roots where there is no directory for them', async () => {
    const temp = bench()
    rmdirSync(join(temp.dir, 'gcroots'))
    expect(await temp.run(['prune'])).toMatchObject({ stderr: '', exitCode: 0 })
  })
})

describe('pause and resume', () => {
  test('make and remove the file; twice is no error', async () => {
    const { run, spool } = bench()
    for (const _ of [1, 2]) expect(await run(['pause'])).toMatchObject({ stdout: '', exitCode: 0 })
    expect(existsSync(join(spool.root, 'paused'))).toBe(true)
    expect(await run(['resume'])).toMatchObject({ stderr: 'resumed', exitCode: 0 })
    expect(await run(['resume'])).toMatchObject({ stderr: 'it was not paused', exitCode: 0 })
    expect(readdirSync(spool.root)).not.toContain('paused')
  })

  test('of one destination are that one’s', async () => {
    const { run, spool } = bench('[[destination]]\nname = "s3"\nto = "s3://cache"\n')
    expect((await run(['pause', 's3'])).stderr).toBe('paused; `nix-upload resume s3` goes on')
    expect(readdirSync(spool.root)).toContain('paused.s3')
    expect((await run(['resume', 's3'])).stderr).toBe('resumed')
    expect(readdirSync(spool.root)).not.toContain('paused.s3')
  })
})

test('forget of a destination that no job waits for says so', async () => {
  const { run, spool } = bench()
  put(spool, 'new', 'N.json')
  expect(await run(['forget', 'bakcup'])).toEqual({
    stdout: '',
    stderr: 'nix-upload: no job in new/ waits for "bakcup"; `nix-upload status` shows for what jobs wait',
    exitCode: 0,
  })
})

describe('wait', () => {
  test('ends at once where nothing waits, whatever failed before', async () => {
    const { run, spool } = bench()
    put(spool, 'failed', 'F.json')
    expect(await run(['wait'])).toEqual({ stdout: '', stderr: '', exitCode: 0 })
  })

  test('says how many still wait when the time is over, and exits with 75', async () => {
    const { run, spool } = bench()
    put(spool, 'new', 'N.json')
    put(spool, 'cur', 'C.json')
    const { stderr, exitCode } = await run(['wait', '--timeout', '1s'])
    expect(stderr).toMatch(/no daemon is running/)
    expect(stderr).toMatch(/still waiting after 1s: 2 jobs; `nix-upload status` says why$/)
    expect(exitCode).toBe(75)
  })

  test('says that it is for ever while the spool is paused', async () => {
    const { run, spool } = bench()
    put(spool, 'new', 'N.json')
    await run(['pause'])
    const { stderr } = await run(['wait', '--timeout', '1s'])
    expect(stderr).toMatch(/^nix-upload: the spool is paused, .*; `nix-upload resume` goes on$/m)
  })
})

describe('drain, where there is nothing for Nix to do', () => {
  test.each<[what: string, file?: string]>([['an empty spool'], ['a dotfile in new/', '.hidden']])(
    'is through with %s',
    async (_what, file) => {
      const { run, spool } = bench()
      if (file) put(spool, 'new', file)
      expect(await run(['drain'])).toMatchObject({ stdout: '', stderr: 'nix-upload: 0 done', exitCode: 0 })
    },
  )

  test('must wait while it is paused', async () => {
    const { run, spool } = bench()
    put(spool, 'new', 'N.json')
    await run(['pause'])
    expect(await run(['drain'])).toMatchObject({
      stderr: expect.stringMatching(/some must wait$/),
      exitCode: 75,
    })
    expect(tree(spool)).toEqual({ new: ['N.json'] })
  })

  test('fails where what it finds is no job', async () => {
    const { run, spool } = bench()
    put(spool, 'new', 'N.json', '{')
    expect(await run(['drain'])).toMatchObject({ exitCode: 1 })
    expect(tree(spool)).toEqual({ failed: ['N.json', 'N.json.reason'] })
  })
})
