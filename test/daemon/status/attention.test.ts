import { describe, expect, test } from 'vitest'
import { attentionTo } from '../../../src/daemon/status/attention.ts'
import { HOUR } from '../../spool/temp-spool.ts'
import { ago, DAY, destination, jobs, NOW, seen, waitingFor } from './snapshots.ts'

const at = (snapshot: Parameters<typeof attentionTo>[0]) => attentionTo(snapshot, NOW)
const waiting = (count: number, ms: number, name = 'backup') =>
  waitingFor(name, `s3://${name}`, jobs(count, ms))
const down = (lastSuccessAt?: string) => ({
  to: 's3://backup',
  state: 'down' as const,
  failures: 3,
  lastError: 'refused',
  ...(lastSuccessAt === undefined ? {} : { lastSuccessAt }),
})

describe('the headline', () => {
  test.each([
    ['of an empty spool', seen(), 'Nothing waits.', 'idle'],
    ['of one job', seen({ states: { new: jobs(1, HOUR) } }), '1 job waits for 1h.', 'busy'],
    [
      'counts what is queued and what is in hand, and has the age of the oldest of both',
      seen({ states: { new: jobs(60, HOUR), cur: jobs(12, 2 * HOUR) } }),
      '72 jobs wait, the oldest for 2h.',
      'busy',
    ],
    [
      'names the only one of several destinations that lacks something',
      seen({
        states: { new: jobs(3, HOUR) },
        destinations: [destination('s3'), destination('backup', { waiting: waiting(3, HOUR) })],
      }),
      '3 jobs wait for backup, the oldest for 1h.',
      'busy',
    ],
  ])('%s', (_, snapshot, headline, mood) => {
    expect(at(snapshot)).toEqual({ headline, mood, matters: [] })
  })
})

test('a daemon that should be restarted is a matter, and no trouble', () => {
  const stale = {
    reasons: ['/etc/nix-upload/config.toml has changed'],
    command: 'systemctl restart nix-upload.service',
  }
  const text =
    'Of the daemon: restart it (systemctl restart nix-upload.service): since it was started, /etc/nix-upload/config.toml has changed.'
  expect(at(seen({ stale })).matters).toEqual([{ isTrouble: false, text }])
})

test('directories of the wrong owner are trouble', () => {
  const owners = 'the directories in /spool belong to different users'
  expect(at(seen({ owners }))).toMatchObject({
    mood: 'trouble',
    matters: [{ isTrouble: true, text: `Of the spool: ${owners}.` }],
  })
})

describe('what keeps jobs from being done', () => {
  test.each([
    [
      'a destination that is down: since when, and how much waits for it',
      seen({
        destinations: [
          destination('backup', { waiting: waiting(72, 2 * DAY), report: down(ago(2 * DAY + 3 * HOUR)) }),
        ],
      }),
      'trouble',
      'backup is down, last upload 2d 3h ago; 72 jobs wait for it, the oldest for 2d. It is tried again by itself, and nothing is lost.',
    ],
    [
      'one that was never reached',
      seen({ destinations: [destination('backup', { report: down() })] }),
      'trouble',
      'backup is down. It is tried again by itself, and nothing is lost.',
    ],
    [
      'an estimate is called one',
      seen({
        destinations: [
          destination('backup', {
            waiting: { ...waiting(72, HOUR), isEstimate: true },
            report: down(),
          }),
        ],
      }),
      'trouble',
      'backup is down; ~72 jobs wait for it, the oldest for 1h. It is tried again by itself, and nothing is lost.',
    ],
    [
      'a destination that is not configured',
      seen({ destinations: [destination('old', { isConfigured: false, waiting: waiting(1, HOUR, 'old') })] }),
      'trouble',
      'old is not configured; 1 job waits for it for 1h: put it back, or `nix-upload forget old` gives it up.',
    ],
    ['a pause', seen({ paused: true }), 'held', 'Paused: `nix-upload resume` goes on.'],
    [
      'a pause of one destination',
      seen({ destinations: [destination('s3', { paused: true })] }),
      'held',
      's3 is paused: `nix-upload resume s3` goes on.',
    ],
    [
      'no daemon',
      seen({ daemon: 'not running' }),
      'trouble',
      'No daemon is running: `nix-upload watch` or its service delivers what waits.',
    ],
    [
      'jobs that were given up',
      seen({ states: { failed: jobs(2) } }),
      'trouble',
      '2 jobs were given up: mend what is said below, then `nix-upload requeue --all`.',
    ],
  ])('%s', (_, snapshot, mood, text) => {
    const { matters, mood: found } = at(snapshot)
    expect(matters.map((matter) => matter.text)).toEqual([text])
    expect(found).toBe(mood)
  })

  test('is limited, however many destinations jobs name', () => {
    const destinations = Array.from({ length: 1000 }, (_, n) =>
      destination(`d${n}`, { isConfigured: false, waiting: waiting(1, HOUR, `d${n}`) }),
    )
    const { matters } = at(seen({ destinations, states: { failed: jobs(1) } }))
    expect(matters).toHaveLength(21)
    expect(matters.at(-1)).toMatchObject({ isAboutFailed: true })
  })
})
