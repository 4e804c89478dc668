import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { ownIdentity } from '../../src/daemon/identity.ts'
import { pause } from '../../src/spool/pause.ts'
import { writeReport } from '../../src/spool/report.ts'
import { age, HOUR, put } from '../spool/temp-spool.ts'
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
      daemon: { running: false, pid: null },
      jobs: { new: 0, cur: 0, done: 0, failed: 0 },
      oldestSeconds: { new: null, cur: null, failed: null },
      destinations: [
        {
          name: 'default',
          to: `file://${dir}/spool-cache`,
          state: 'unknown',
          lastError: null,
          nextAttemptAt: null,
          paused: false,
        },
      ],
    })
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
      daemon: { running: false, pid: null },
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
    const running = { daemon: { running: true, pid: process.pid }, paused: true }
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

  test('tells of a destination that is paused for itself', async () => {
    const { run, spool } = bench(TWO)
    pause(spool, 's3')
    const { stdout } = await run(['status'])
    expect(stdout).toMatch(/^s3 .*paused/m)
    expect(stdout).not.toMatch(/^ssh .*paused/m)
  })
})

describe('where there is no spool', () => {
  test.each([
    ['status'],
    ['list'],
    ['show', 'X'],
    ['requeue', '--all'],
    ['prune'],
    ['pause'],
    ['resume'],
    ['wait'],
  ])('%s says so on one line', async (...args) => {
    const { dir, run } = bench()
    rmSync(join(dir, 'spool'), { recursive: true })
    const { stdout, stderr, exitCode } = await run(args)
    expect(stderr).toBe(
      `nix-upload: there is no spool at ${dir}/spool; \`nix-upload watch\` or \`nix-upload enqueue\` makes it`,
    )
    expect([exitCode, stdout]).toEqual([1, ''])
  })
})
