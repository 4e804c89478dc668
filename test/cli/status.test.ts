import { chownSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { ownIdentity } from '../../src/daemon/identity.ts'
import { pause } from '../../src/spool/pause.ts'
import { writeReport } from '../../src/spool/report.ts'
import { age, DELIVERED, GIVEN_UP, HOUR, jobText, put, storePath } from '../spool/temp-spool.ts'
import { bench, build } from './cli.ts'

beforeAll(build)

const TWO =
  '[[destination]]\nname = "s3"\nto = "s3://cache"\n[[destination]]\nname = "ssh"\nto = "ssh://host"\n'

describe('status --json', () => {
  test('of an empty spool, all of it', async () => {
    const { dir, run } = bench()
    const { stdout, stderr, exitCode } = await run(['status', '--json'])
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual({
      spool: join(dir, 'spool'),
      paused: false,
      daemon: { running: false, pid: null, stale: [] },
      jobs: { new: 0, cur: 0, done: 0, failed: 0 },
      oldestSeconds: { new: null, cur: null, failed: null },
      destinations: [
        {
          name: 'default',
          to: `file://${dir}/spool-cache`,
          state: 'unknown',
          lastError: null,
          nextAttemptAt: null,
          configured: true,
          paused: false,
          lastSuccessAt: null,
          waiting: {
            jobs: 0,
            isEstimate: false,
            oldestSeconds: null,
            ages: { '1m': 0, '5m': 0, '15m': 0, '1h': 0, '6h': 0, '1d': 0, '7d': 0, older: 0 },
            retrying: 0,
          },
          running: [],
          rate: { bytes: 0, jobs: 0 },
        },
      ],
      failures: [],
    })
  })

  test('of no spool at all, the same with zeros', async () => {
    const { dir, run } = bench()
    const empty = await run(['status', '--json'])
    rmSync(join(dir, 'spool'), { recursive: true })
    expect(await run(['status', '--json'])).toEqual(empty)
  })

  test('tells for each destination how many jobs wait for it, and since when', async () => {
    const { run, spool } = bench(TWO)
    age(put(spool, 'new', 'a.json'), HOUR / 2)
    const record = { state: 'waiting', attempts: 2, error: 'refused' }
    put(spool, 'cur', 'b.json', jobText('b', { destinations: { s3: record, ssh: DELIVERED } }))
    const { destinations } = JSON.parse((await run(['status', '--json'])).stdout)
    const ages = { '1m': 0, '1h': 1 }
    expect(destinations).toMatchObject([
      {
        name: 's3',
        waiting: {
          jobs: 2,
          oldestSeconds: expect.closeTo(1800, -2),
          ages: { ...ages, '1m': 1 },
          retrying: 1,
        },
      },
      { name: 'ssh', waiting: { jobs: 1, oldestSeconds: expect.closeTo(1800, -2), ages, retrying: 0 } },
    ])
  })

  test('tells what is under way, as long as the daemon lives', async () => {
    const { run, spool } = bench('[[destination]]\nto = "s3://cache"\n')
    const since = new Date().toISOString()
    const running = [{ jobs: 3, paths: 4, since, sentBytes: 5e6, expectedBytes: 2e7 }]
    const state = {
      state: 'ok',
      failures: 0,
      lastSuccessAt: since,
      running,
      rate: { bytes: 1e6, jobs: 0.5 },
    } as const
    const destinations = { default: { to: 's3://cache', ...state } }
    const report = { pid: process.pid, lock: '', startedAt: since, destinations }
    writeReport(spool, { ...report, identity: ownIdentity() })
    const alive = JSON.parse((await run(['status', '--json'])).stdout)
    expect(alive.destinations).toMatchObject([
      { running, rate: { bytes: 1e6, jobs: 0.5 }, lastSuccessAt: since },
    ])
    writeReport(spool, { ...report, identity: 'another', pid: 2 ** 22 + 1 })
    const dead = JSON.parse((await run(['status', '--json'])).stdout)
    expect(dead.destinations).toMatchObject([{ running: [], rate: { bytes: 0, jobs: 0 } }])
  })

  test('gives the reasons in failed/, the most frequent first, and without what differs from job to job', async () => {
    const { run, spool } = bench(TWO)
    for (const name of ['a', 'b', 'c']) {
      const error = `path '${storePath(name)}' is not valid`
      put(spool, 'failed', `${name}.json`, jobText(name, { destinations: { s3: { ...GIVEN_UP, error } } }))
    }
    put(spool, 'failed', 'd.json', jobText('d', { destinations: { s3: DELIVERED, ssh: GIVEN_UP } }))
    put(spool, 'failed', 'e.json', '{')
    const { failures } = JSON.parse((await run(['status', '--json'])).stdout)
    expect(failures).toEqual([
      { reason: 's3: path PATH is not valid', jobs: 3 },
      { reason: 'ssh: refused: too large', jobs: 1 },
      { reason: expect.stringMatching(/^no valid job: it is not JSON/), jobs: 1 },
    ])
  })

  test('counts the jobs in each state, and tells since when the oldest waits', async () => {
    const { run, spool } = bench()
    age(put(spool, 'new', 'a.json'), HOUR)
    put(spool, 'new', 'b.json')
    age(put(spool, 'failed', 'f.json'), 2 * HOUR)
    put(spool, 'failed', 'f.json.reason')
    for (const name of ['c.json', 'd.json', 'e.json']) put(spool, 'done', name)
    const { jobs, oldestSeconds } = JSON.parse((await run(['status', '--json'])).stdout)
    expect(jobs).toEqual({ new: 2, cur: 0, done: 3, failed: 1 })
    expect(oldestSeconds).toEqual({
      new: expect.closeTo(3600, -2),
      cur: null,
      failed: expect.closeTo(7200, -2),
    })
  })

  test('tells what the daemon last said of each destination that is configured', async () => {
    const { run, spool } = bench(TWO)
    const nextAttemptAt = new Date(Date.now() + 60_000).toISOString()
    const report = { pid: 4711, identity: 'x', lock: '', startedAt: '' }
    const destinations = {
      s3: { to: 's3://cache', state: 'down', failures: 2, lastError: 'refused', nextAttemptAt },
      ssh: { to: 'ssh://another', state: 'ok', failures: 0 },
      gone: { to: 's3://gone', state: 'ok', failures: 0 },
    } as const
    writeReport(spool, { ...report, destinations })
    expect(JSON.parse((await run(['status', '--json'])).stdout)).toMatchObject({
      daemon: { running: false, pid: null, stale: [] },
      destinations: [
        { name: 's3', to: 's3://cache', state: 'down', lastError: 'refused', nextAttemptAt },
        { name: 'ssh', to: 'ssh://host', state: 'unknown', lastError: null, nextAttemptAt: null },
      ],
    })
  })

  test('tells a running daemon, whether there is a pause, and passes over a report that is garbage', async () => {
    const { run, spool } = bench()
    writeReport(spool, {
      pid: process.pid,
      identity: ownIdentity(),
      lock: '',
      startedAt: new Date().toISOString(),
      destinations: {},
    })
    pause(spool)
    const running = { daemon: { running: true, pid: process.pid, stale: [] }, paused: true }
    expect(JSON.parse((await run(['status', '--json'])).stdout)).toMatchObject(running)
    writeFileSync(spool.reportFile, '{')
    const { stdout, exitCode } = await run(['status', '--json'])
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ daemon: { running: false, pid: null } })
  })
})

describe('status', () => {
  test('says the same in words, without colours where it is no terminal', async () => {
    const { dir, run, spool } = bench(TWO)
    age(put(spool, 'new', 'a.json'), HOUR)
    put(spool, 'failed', 'f.json')
    const destinations = {
      s3: { to: 's3://cache', state: 'down', failures: 1, lastError: 'refused\u001b[2J' },
    } as const
    writeReport(spool, { pid: 2 ** 22 + 1, identity: 'x', lock: '', startedAt: '', destinations })
    pause(spool)
    const { stdout, exitCode } = await run(['status'])
    expect(exitCode).toBe(0)
    expect(stdout).toContain(`${dir}/spool`)
    for (const line of [
      /paused/,
      /daemon +not running/,
      /^new\/ +1 +oldest 1h$/m,
      /^failed\/ +1 +oldest/m,
      /^done\/ +0$/m,
    ]) {
      expect(stdout).toMatch(line)
    }
    expect(stdout).toMatch(/^s3 +down +s3:\/\/cache +refused\\u\{1b\}\[2J/m)
    expect(stdout).toMatch(/^ssh +unknown +ssh:\/\/host$/m)
    expect(stdout).not.toContain('\u001b')
  })

  test('is a row a destination and a column an age, in the manner of qshape', async () => {
    const { run, spool } = bench(TWO)
    for (const name of ['a', 'b']) age(put(spool, 'new', `${name}.json`), 3 * HOUR)
    put(spool, 'cur', 'c.json', jobText('c', { destinations: { ssh: DELIVERED } }))
    const { stdout } = await run(['status'])
    expect(stdout).toMatch(/^waiting for +jobs +<1m +<5m +<15m +<1h +<6h +<1d +<7d +older$/m)
    expect(stdout).toMatch(/^s3 +3 +1 +\. +\. +\. +2 +\. +\. +\.$/m)
    expect(stdout).toMatch(/^ssh +2 +\. +\. +\. +\. +2 +\. +\. +\.$/m)
  })

  test('shows how far each copy is, why jobs are tried again, and why others were given up', async () => {
    const { run, spool } = bench()
    const record = { state: 'waiting', attempts: 1, error: 'refused' }
    put(spool, 'cur', 'a.json', jobText('a', { destinations: { default: record } }))
    put(spool, 'failed', 'b.json', jobText('b', { destinations: { default: GIVEN_UP } }))
    const since = new Date(Date.now() - 30_000).toISOString()
    const running = [
      { jobs: 3, paths: 4, since, sentBytes: 5e6, expectedBytes: 2e7 },
      { jobs: 1, paths: 1, since, sentBytes: 0, expectedBytes: 0 },
    ]
    const destinations = { default: { to: 's3://cache', state: 'ok', failures: 0, running } } as const
    writeReport(spool, {
      pid: process.pid,
      identity: ownIdentity(),
      lock: '',
      startedAt: since,
      destinations,
    })
    const { stdout } = await run(['status'])
    expect(stdout).toMatch(/^default +ok +s3:\/\/cache +1 job failed and will be tried again: refused$/m)
    expect(stdout).toMatch(
      /\[#{5}\.{15}\] +25% {2}5\.0 MB of 20\.0 MB, 1m 3\ds left, 3 jobs, 4 paths, for 3\ds$/m,
    )
    expect(stdout).toMatch(/^default {2}1 job, 1 path, for 3\ds$/m)
    expect(stdout).toMatch(/^failed, by reason.*:\n +1 {2}default: refused: too large$/m)
  })

  test('tells what to do about what was given up: only what is a job is requeued as it is', async () => {
    const { run, spool } = bench()
    const title = async () => /^failed, by reason \((.*)\):$/m.exec((await run(['status'])).stdout)?.[1]
    put(spool, 'failed', 'bad.json', '{')
    put(spool, 'failed', 'bad.json.reason', 'bad.json is no valid job: it is no JSON.\n')
    const mend = 'mend what is no valid job and move it to new/, or delete it'
    expect(await title()).toBe(mend)
    put(spool, 'failed', 'a.json', jobText('a', { destinations: { default: GIVEN_UP } }))
    const requeue = '`nix-upload requeue` tries again'
    expect(await title()).toBe(`${requeue}; ${mend}`)
    rmSync(join(spool.failed, 'bad.json'))
    expect(await title()).toBe(requeue)
  })

  test('says in one line that the spool’s directories have the wrong owner, and names doctor', async () => {
    const { run, spool } = bench()
    chownSync(spool.new, 65534, 65534)
    const { stdout, exitCode } = await run(['status'])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^ +the directories in \S+ belong to different users; .*`nix-upload doctor`$/m)
  })

  test('tells of a destination that is paused for itself', async () => {
    const { run, spool } = bench(TWO)
    pause(spool, 's3')
    const { stdout } = await run(['status'])
    expect(stdout).toMatch(/^s3 .*paused/m)
    expect(stdout).not.toMatch(/^ssh .*paused/m)
  })
})

describe('where there is no spool', () => {
  test('status says that there is none yet, which is no failure', async () => {
    const { dir, run } = bench()
    rmSync(join(dir, 'spool'), { recursive: true })
    const { stdout, stderr, exitCode } = await run(['status'])
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(`no spool yet at ${dir}/spool; \`nix-upload init\` makes it`)
  })

  test.each([['list'], ['show', 'X'], ['requeue', '--all'], ['prune'], ['pause'], ['resume'], ['wait']])(
    '%s says so on one line',
    async (...args) => {
      const { dir, run } = bench()
      rmSync(join(dir, 'spool'), { recursive: true })
      const { stdout, stderr, exitCode } = await run(args)
      expect(stderr).toBe(
        `nix-upload: there is no spool at ${dir}/spool; \`nix-upload init\` makes it, and so do \`watch\` and \`enqueue\``,
      )
      expect([exitCode, stdout]).toEqual([1, ''])
    },
  )
})
