// What the docs show of status is what it prints. UPDATE_DOCS=1 writes it there.

import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { ownIdentity } from '../../src/daemon/identity.ts'
import { writeReport } from '../../src/spool/report.ts'
import { until } from '../integration/daemon.ts'
import { age, DELIVERED, GIVEN_UP, HOUR, jobText, put } from '../spool/temp-spool.ts'
import { type Bench, bench, build, LAUNCHER, ROOT } from './cli.ts'

beforeAll(build)

const MINUTE = HOUR / 60
const S3 = 's3://example-nix-cache?region=eu-west-1'
const BACKUP = 'ssh-ng://backup.example.org'
const DOWN = 'cannot connect to backup.example.org: No route to host'
const ago = (ms: number) => new Date(Date.now() - ms).toISOString()

/** A machine in the middle of its work, with one destination down since yesterday. */
function scene(): Bench {
  const place = bench(
    `[[destination]]\nname = "s3"\nto = "${S3}"\n[[destination]]\nname = "backup"\nto = "${BACKUP}"\n`,
  )
  const { spool } = place
  const backupOnly = { destinations: { s3: DELIVERED, backup: { state: 'waiting', attempts: 0 } } }
  for (let at = 0; at < 60; at++) {
    age(put(spool, 'new', `${at}.json`, jobText(`${at}`, backupOnly)), (at / 2 + 0.2) * HOUR)
  }
  for (let at = 0; at < 12; at++) age(put(spool, 'cur', `c${at}.json`, jobText(`c${at}`)), (at / 2) * MINUTE)
  for (let at = 0; at < 118; at++) put(spool, 'done', `${at}.json`)
  for (let at = 0; at < 2; at++) {
    const path = `/nix/store/${'a'.repeat(32)}-x${at}`
    const error =
      `the content of ${path} in the local store is not what was built, so it is not uploaded: ` +
      `\`nix-store --repair-path ${path}\` may mend it, or delete it and build it again; then requeue the job`
    const text = jobText(`f${at}`, { destinations: { s3: { ...GIVEN_UP, error } } })
    age(put(spool, 'failed', `${at}.json`, text), 5.1 * HOUR)
  }
  writeReport(spool, {
    pid: process.pid,
    identity: ownIdentity(),
    lock: '',
    startedAt: ago(51.5 * HOUR),
    destinations: {
      s3: {
        to: S3,
        state: 'ok',
        failures: 0,
        lastSuccessAt: ago(8_000),
        running: [{ jobs: 12, paths: 14, since: ago(21_000), sentBytes: 261e6, expectedBytes: 412e6 }],
        rate: { bytes: 12.4e6, jobs: 0.4 },
      },
      backup: {
        to: BACKUP,
        state: 'down',
        failures: 40,
        lastError: DOWN,
        nextAttemptAt: ago(-3.4 * MINUTE),
        lastSuccessAt: ago(30.2 * HOUR),
      },
    },
  })
  return place
}

/** A transcript without what differs from run to run. */
function tidy(text: string, { dir }: Bench): string {
  return text
    .replaceAll(join(dir, 'spool'), '/var/spool/nix-upload')
    .replaceAll(/process \d+/g, 'process 4711')
    .trimEnd()
}

/** Seconds go by. */
const timeless = (text: string) => text.replaceAll(/\d+s\b/g, 'Ns')

/** Compares what a page shows of a command with what it prints, or writes it there. */
function holds(page: string, command: string, printed: string): void {
  const file = join(ROOT, page)
  const text = readFileSync(file, 'utf8')
  const [before = '', rest = ''] = text.split(`$ ${command}\n`)
  const end = rest.indexOf('```')
  if (process.env.UPDATE_DOCS === '1') {
    writeFileSync(file, `${before}$ ${command}\n${printed}\n${rest.slice(end)}`)
  } else {
    expect(timeless(rest.slice(0, end).trimEnd())).toBe(timeless(printed))
  }
}

test('docs/MONITORING.md shows what status prints', async () => {
  const place = scene()
  holds('docs/MONITORING.md', 'nix-upload status', tidy((await place.run(['status'])).stdout, place))
})

test('docs/MONITORING.md shows what status --watch prints', async () => {
  const place = scene()
  const child = spawn(process.execPath, [LAUNCHER, 'status', '--watch', '--config', place.configFile], {
    env: place.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  const lines = () => output.split('\n').length - 1
  await until(() => lines() === 1, 'a line')
  put(place.spool, 'done', 'another.json')
  await until(() => lines() === 2, 'another line')
  child.kill('SIGTERM')
  holds('docs/MONITORING.md', 'nix-upload status --watch | cat', tidy(output, place))
})
