import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { DELIVERED, GIVEN_UP, jobText, put, storePath } from '../spool/temp-spool.ts'
import { runProgram } from '../support/run.ts'
import { bench, build, LAUNCHER } from './cli.ts'

beforeAll(build)

const DRV = storePath('hello.drv')
const destinations = { s3: { ...GIVEN_UP, lastAttemptAt: '2026-11-22T03:15:00Z' }, ssh: DELIVERED }
const RECORD = {
  job: 'F.json',
  state: 'failed',
  drvPath: DRV,
  outPaths: [storePath('hello')],
  queuedAt: '2026-11-22T03:14:02Z',
  attempts: 8,
  lastError: 'refused: too large',
}
const NOT_A_JOB = { drvPath: null, outPaths: [], queuedAt: null, attempts: 0 }

function withJobs() {
  const temp = bench()
  const { spool } = temp
  put(spool, 'new', 'N.json', `{"drvPath":"${DRV}"}`)
  put(spool, 'new', '.hidden')
  put(spool, 'failed', 'F.json', jobText('hello', { drvPath: DRV, destinations }))
  put(spool, 'failed', 'bad.json', '{')
  put(spool, 'failed', 'bad.json.reason', 'bad.json is no valid job: half of it is missing.\nMend it.\n')
  return temp
}

describe('list', () => {
  test('--json gives an array of all jobs, state by state, valid or not', async () => {
    const { stdout, stderr, exitCode } = await withJobs().run(['list', '--json'])
    expect([exitCode, stderr]).toEqual([0, ''])
    const [first, ...failed] = JSON.parse(stdout)
    expect(first).toEqual({ ...NOT_A_JOB, job: 'N.json', state: 'new', drvPath: DRV, lastError: null })
    expect(failed.toSorted((a: typeof RECORD, b: typeof RECORD) => a.job.localeCompare(b.job))).toEqual([
      {
        ...NOT_A_JOB,
        job: 'bad.json',
        state: 'failed',
        lastError: 'bad.json is no valid job: half of it is missing.',
      },
      RECORD,
    ])
  })

  test('STATE --json gives those of one state, and an empty array where there are none', async () => {
    const { run } = withJobs()
    expect(JSON.parse((await run(['list', 'new', '--json'])).stdout)).toHaveLength(1)
    expect(JSON.parse((await run(['list', 'done', '--json'])).stdout)).toEqual([])
  })

  test('gives one line a job: state, age, name, and what went wrong', async () => {
    const lines = (await withJobs().run(['list'])).stdout.split('\n').sort()
    expect(lines).toEqual([
      expect.stringMatching(/^failed {2} +bad\.json {2}bad\.json is no valid job: half of it is missing\.$/),
      expect.stringMatching(/^failed {2}[ \dmhd]{7,} {2}F\.json {2}8 attempts: refused: too large$/),
      expect.stringMatching(/^new {5} +N\.json$/),
    ])
  })

  test('says nothing where there is nothing', async () => {
    expect(await bench().run(['list'])).toEqual({ stdout: '', stderr: '', exitCode: 0 })
  })

  test('ends quietly when whoever reads it has enough', async () => {
    const { env, spool, dir } = bench()
    for (let at = 0; at < 3000; at++) put(spool, 'new', `${at}-${'x'.repeat(100)}.json`)
    const script = '{ "$1" "$2" list; echo "exit $?" >&2; } | { read -r line; echo "$line"; }'
    const { stdout, stderr } = await runProgram('/bin/sh', ['-c', script, 'sh', process.execPath, LAUNCHER], {
      env,
      cwd: dir,
    })
    expect(stdout.split('\n')).toHaveLength(1)
    expect(stderr).toBe('exit 0')
  })
})

describe('show', () => {
  test('--json gives what list gives, with its file, its deliveries and its history', async () => {
    const { run, spool } = withJobs()
    const history = [{ requeuedAt: '2026-11-21T00:00:00Z', destinations: { s3: GIVEN_UP } }]
    put(spool, 'failed', 'F.json', jobText('hello', { drvPath: DRV, destinations, history }))
    const { stdout, exitCode } = await run(['show', 'F', '--json'])
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      ...RECORD,
      path: join(spool.failed, 'F.json'),
      destinations,
      history,
    })
  })

  test('tells all of it in words', async () => {
    const { stdout, exitCode } = await withJobs().run(['show', 'F.json'])
    expect(exitCode).toBe(0)
    for (const text of [
      'F.json',
      'failed',
      DRV,
      storePath('hello'),
      's3',
      'refused: too large',
      'ssh',
      'done',
    ]) {
      expect(stdout).toContain(text)
    }
  })

  test('tells what is wrong with what is no job', async () => {
    const { run, spool } = withJobs()
    mkdirSync(join(spool.new, 'directory'))
    expect((await run(['show', 'bad'])).stdout).toMatch(
      /^reason +bad\.json is no valid job: half of it is missing\.$/m,
    )
    expect((await run(['show', 'directory'])).stdout).toMatch(
      /^reason +it is a directory, not a regular file$/m,
    )
  })

  test.each([
    [
      'json',
      /^nix-upload: several jobs in the spool have "json" in their names; say more of it:(\n {2}(new|failed)\/.+){3}$/,
    ],
    [
      'nothing',
      /^nix-upload: no job in the spool has "nothing" in its name; `nix-upload list` shows what is there$/,
    ],
  ])('of what is not one job says so: %s', async (part, message) => {
    const { stdout, stderr, exitCode } = await withJobs().run(['show', part])
    expect(stderr).toMatch(message)
    expect([exitCode, stdout]).toEqual([1, ''])
  })
})
