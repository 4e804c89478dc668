// On a real pseudo-terminal, which script(1) makes.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import { ownIdentity } from '../../src/daemon/identity.ts'
import { writeReport } from '../../src/spool/report.ts'
import { until } from '../integration/daemon.ts'
import { put } from '../spool/temp-spool.ts'
import { type Bench, bench, build, LAUNCHER } from './cli.ts'

beforeAll(build)

const ENTER = '\u001b[?1049h'
const LEAVE = '\u001b[?1049l'
const HOME = '\u001b[H'

/** `status --watch` on a terminal of 30 lines. */
function onTerminal({ dir, configFile, env }: Bench, more: Record<string, string> = {}) {
  const command = `stty rows 30 cols 100; tty > tty; ${process.execPath} ${LAUNCHER} status --watch --config ${configFile}; echo "exit $?"; stty -a`
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: dir,
    env: { ...env, PATH: '/usr/bin:/bin', TERM: 'xterm-256color', SHELL: '/bin/sh', ...more },
  })
  const terminal = {
    output: '',
    /** What is on the screen now, as far as it was written. */
    get screen() {
      return terminal.output.slice(terminal.output.lastIndexOf(HOME))
    },
    type: (keys: string) => child.stdin.write(keys),
    ended: new Promise((resolve) => child.once('close', resolve)),
    shows: (text: string | RegExp) =>
      until(
        () => (typeof text === 'string' ? terminal.screen.includes(text) : text.test(terminal.screen)),
        () => `${text} on the screen: ${JSON.stringify(terminal.output)}`,
      ),
  }
  child.stdout.on('data', (data) => {
    terminal.output += data
  })
  return terminal
}

describe('status --watch on a terminal', () => {
  test('is drawn in place as things change, and q leaves the last of it behind', async () => {
    const place = bench()
    const terminal = onTerminal(place)
    await terminal.shows(/new\/ +0/)
    put(place.spool, 'new', 'a.json')
    await terminal.shows(/new\/ +1 /)
    terminal.type('q')
    await terminal.ended
    const [before = '', after = ''] = terminal.output.split(LEAVE)
    expect(before).toContain(ENTER)
    expect(before.split(HOME).length).toBeGreaterThan(2)
    expect(after).toMatch(/new\/ +1 +oldest/)
    expect(after).toContain('exit 0')
    // The terminal is as it was: it echoes, and keys make lines and signals.
    expect(after).toMatch(/\bisig icanon iexten echo\b/)
  })

  test('follows the size of its window', async () => {
    const place = bench()
    const terminal = onTerminal(place)
    await terminal.shows('waiting for')
    await execa('stty', ['-F', readFileSync(join(place.dir, 'tty'), 'utf8').trim(), 'rows', '5'])
    await until(
      () => terminal.screen.includes('spool') && !terminal.screen.includes('waiting for'),
      'a redraw',
    )
    expect(terminal.screen.match(/\n/g)?.length).toBe(3)
    terminal.type('\u0003')
    await terminal.ended
    expect(terminal.output).toContain('exit 0')
  })

  test('shows a bar for each copy, with the time that is left, and no colours where NO_COLOR is set', async () => {
    const place = bench('[[destination]]\nto = "s3://cache"\n')
    const since = new Date(Date.now() - 30_000).toISOString()
    const running = [{ jobs: 3, paths: 4, since, sentBytes: 5e6, expectedBytes: 2e7 }]
    const destinations = { default: { to: 's3://cache', state: 'ok', failures: 0, running } } as const
    writeReport(place.spool, {
      pid: process.pid,
      identity: ownIdentity(),
      lock: '',
      startedAt: since,
      destinations,
    })
    const terminal = onTerminal(place, { NO_COLOR: '1' })
    await terminal.shows(/\[#{5}\.{15}\] +25% {2}5\.0 MB of 20\.0 MB, 1m 3\ds left, 3 jobs, 4 paths/)
    expect(terminal.screen).toMatch(/default {2}ok {7}s3:/)
    terminal.type('q')
    await terminal.ended
    expect(terminal.output).not.toMatch(/\[[\d;]*m/)
  })
})

describe('status --watch elsewhere', () => {
  function piped({ dir, configFile, env }: Bench, args: string[]) {
    const child = spawn(process.execPath, [LAUNCHER, 'status', '--watch', '--config', configFile, ...args], {
      cwd: dir,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    const lines = () => output.split('\n').slice(0, -1)
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    return { lines, stop: () => child.kill('SIGTERM'), ended }
  }

  test('is a line for each change, without anything that only a terminal knows, until SIGTERM', async () => {
    const place = bench()
    const { lines, stop, ended } = piped(place, [])
    await until(() => lines().length === 1, 'a first line')
    put(place.spool, 'failed', 'a.json')
    await until(() => lines().length === 2, 'a second line')
    stop()
    expect(await ended).toBe(0)
    expect(lines()).toEqual([
      'new 0, cur 0, done 0, failed 0; no daemon',
      'new 0, cur 0, done 0, failed 1; no daemon',
    ])
  })

  test('with --json it is what status --json prints, on a line each second', async () => {
    const place = bench()
    const { lines, stop, ended } = piped(place, ['--json'])
    await until(() => lines().length >= 2, 'two lines')
    stop()
    expect(await ended).toBe(0)
    const once = JSON.parse((await place.run(['status', '--json'])).stdout)
    for (const line of lines()) expect(JSON.parse(line)).toEqual(once)
  })
})
