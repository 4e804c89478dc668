// Held to account by promtool, Prometheus' own checker, with what docs/monitoring has for Prometheus and Grafana.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { Metrics, type Reading } from '../../src/daemon/metrics.ts'
import type { Standing } from '../../src/daemon/notify.ts'
import { survey } from '../../src/spool/waiting.ts'
import { isObject } from '../../src/util/is-object.ts'
import { age, HOUR, put, tempDir, tempSpool } from '../spool/temp-spool.ts'
import { runProgram } from '../support/run.ts'

const MONITORING = join(import.meta.dirname, '../../docs/monitoring')
const STANDING: Standing = {
  isPaused: false,
  isStopping: false,
  inHand: 1,
  done: 5,
  failed: 1,
  destinations: {
    s3: { to: 's3://c', state: 'ok', failures: 0, lastSuccessAt: '2026-11-22T03:14:02Z', running: [] },
    'ssh "1"': { to: 'ssh://h', state: 'down', failures: 3, lastError: 'refused' },
    new: { to: 'file:///x', state: 'unknown', failures: 0 },
  },
}

const places = (names: readonly string[]) => names.map((name) => ({ name, to: '' }))

function reading(more: Partial<Reading> = {}): Reading {
  const { spool } = tempSpool()
  age(put(spool, 'new', 'a.json'), HOUR)
  put(spool, 'failed', 'b.json')
  const shape = survey(spool, places(Object.keys(STANDING.destinations)))
  const sentBytes = { s3: 1000, 'ssh "1"': 0, new: 0 }
  return {
    mode: 'watch',
    isRunning: true,
    standing: STANDING,
    paused: new Set(['new']),
    sentBytes,
    shape,
    ...more,
  }
}

function counted(): Metrics {
  const metrics = new Metrics('1.2.3', Object.keys(STANDING.destinations))
  metrics.onResult('s3', 'delivered')
  metrics.onResult('s3', 'delivered')
  metrics.onResult('ssh "1"', 'deferred')
  metrics.onBatch('s3', 2500)
  return metrics
}

/** The value of a series, as it is written. */
function value(text: string, series: string): string | undefined {
  return text
    .split('\n')
    .find((line) => line.startsWith(`${series} `))
    ?.slice(series.length + 1)
}

async function promtool(args: string[], input?: string) {
  return await runProgram('promtool', args, input === undefined ? {} : { input })
}

describe('the metrics', () => {
  test('are such that promtool has nothing to say', async () => {
    const text = await counted().text(reading())
    expect(await promtool(['check', 'metrics'], text)).toEqual({ stdout: '', stderr: '', exitCode: 0 })
  })

  test('say what is in the spool, and how each destination is', async () => {
    const text = await counted().text(reading())
    for (const [series, expected] of Object.entries({
      'nix_upload_build_info{version="1.2.3"}': '1',
      'nix_upload_running{mode="watch"}': '1',
      nix_upload_paused: '0',
      'nix_upload_jobs{state="new"}': '1',
      'nix_upload_jobs{state="done"}': '0',
      'nix_upload_jobs{state="failed"}': '1',
      'nix_upload_waiting_jobs{destination="s3"}': '1',
      'nix_upload_destination_up{destination="s3"}': '1',
      'nix_upload_destination_up{destination="ssh \\"1\\""}': '0',
      'nix_upload_destination_up{destination="new"}': undefined,
      'nix_upload_destination_paused{destination="new"}': '1',
      'nix_upload_destination_paused{destination="s3"}': '0',
      'nix_upload_last_success_timestamp_seconds{destination="s3"}': `${Date.parse('2026-11-22T03:14:02Z') / 1000}`,
      'nix_upload_deliveries_total{destination="s3",result="delivered"}': '2',
      'nix_upload_deliveries_total{destination="s3",result="failed"}': '0',
      'nix_upload_deliveries_total{destination="ssh \\"1\\"",result="deferred"}': '1',
      'nix_upload_sent_bytes_total{destination="s3"}': '1000',
      'nix_upload_settled_jobs_total{state="done"}': '5',
      'nix_upload_batch_duration_seconds_bucket{le="1",destination="s3"}': '0',
      'nix_upload_batch_duration_seconds_bucket{le="3",destination="s3"}': '1',
      'nix_upload_batch_duration_seconds_count{destination="new"}': '0',
      'nix_upload_oldest_job_timestamp_seconds{state="cur"}': undefined,
    })) {
      expect([series, value(text, series)]).toEqual([series, expected])
    }
    const oldest = Number(value(text, 'nix_upload_oldest_waiting_job_timestamp_seconds{destination="s3"}'))
    expect(Date.now() / 1000 - oldest).toBeCloseTo(3600, -2)
  })

  test('have counters that rise with what they count, and never fall', async () => {
    const metrics = counted()
    const sent = async (bytes: number) => {
      const text = await metrics.text(reading({ sentBytes: { s3: bytes } }))
      return value(text, 'nix_upload_sent_bytes_total{destination="s3"}')
    }
    expect([await sent(1000), await sent(800), await sent(1000), await sent(1500)]).toEqual([
      '1000',
      '1000',
      '1000',
      '1500',
    ])
  })

  test('forget what is no more', async () => {
    const metrics = counted()
    await metrics.text(reading())
    const { spool } = tempSpool()
    const text = await metrics.text(reading({ isRunning: false, shape: survey(spool, places(['s3'])) }))
    expect(text).not.toContain('nix_upload_oldest_job_timestamp_seconds{')
    expect(text).not.toContain('nix_upload_oldest_waiting_job_timestamp_seconds{')
    expect(value(text, 'nix_upload_running{mode="watch"}')).toBe('0')
  })
})

describe('docs/monitoring', () => {
  /** The names of all metrics that a text in Prometheus' language or ours asks for. */
  const asked = (text: string) => new Set(text.match(/nix_upload_\w+/g))

  let knownNames = new Set<string>()
  beforeEach(async () => {
    const text = await counted().text(reading())
    knownNames = new Set([...text.matchAll(/^(nix_upload_\w+)/gm)].map(([, name = '']) => name))
  })

  test('alerts.yml is accepted, its own tests pass, and it asks for what there is', async () => {
    expect(await promtool(['check', 'rules', join(MONITORING, 'alerts.yml')])).toMatchObject({ exitCode: 0 })
    expect(await promtool(['test', 'rules', join(MONITORING, 'alerts.test.yml')])).toMatchObject({
      exitCode: 0,
    })
    const names = asked(readFileSync(join(MONITORING, 'alerts.yml'), 'utf8'))
    expect(names.size).toBeGreaterThan(5)
    expect([...names].filter((name) => !knownNames.has(name))).toEqual([])
  })

  test('dashboard.json has queries that Prometheus understands, of metrics that there are', async () => {
    const expressions = expressionsIn(JSON.parse(readFileSync(join(MONITORING, 'dashboard.json'), 'utf8')))
    expect(expressions.length).toBeGreaterThan(10)
    const rules = expressions.map((expression, at) => ({
      record: `dashboard:${at}`,
      // What Grafana puts there.
      expr: expression.replaceAll('$__rate_interval', '5m').replaceAll(/\$(instance|destination)\b/g, '.*'),
    }))
    const file = join(tempDir(), 'rules.yml')
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }))
    expect(await promtool(['check', 'rules', file])).toMatchObject({ exitCode: 0 })
    expect([...asked(expressions.join(' '))].filter((name) => !knownNames.has(name))).toEqual([])
  })

  test('MONITORING.md lists every metric', async () => {
    const page = readFileSync(join(MONITORING, '../MONITORING.md'), 'utf8')
    const listed = new Set([...page.matchAll(/^\| `(nix_upload_\w+)/gm)].map(([, name = '']) => name))
    const families = [...knownNames].map((name) =>
      name.replace(/(duration_seconds)_(bucket|sum|count)$/, '$1'),
    )
    expect([...listed].sort()).toEqual([...new Set(families)].sort())
  })
})

/** Every query of a dashboard: its targets have them, and so do its variables. */
function expressionsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(expressionsIn)
  if (!isObject(value)) return []
  const own = typeof value.expr === 'string' ? [value.expr] : []
  return [...own, ...Object.values(value).flatMap(expressionsIn)]
}
