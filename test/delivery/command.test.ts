// A program of the user's as the destination: how it gets the paths, what its exit status means, and how it is ended.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from '../../src/util/run-program.ts'
import { isRunning, until } from '../integration/daemon.ts'
import { makeSite, type Site } from '../integration/site.ts'
import { executable } from '../support/servers/remote-nix.ts'
import { batchesIn, DEBUG, deliveries } from './bed.ts'

/** A site with a program for the destination, and jobs. */
async function siteWith(script: string, more = '', jobs = 3) {
  const site = await makeSite()
  await site.makeSpool()
  const got = join(site.nix.dir, 'got')
  const program = await executable(join(site.nix.dir, 'upload'), `#!/bin/sh\nGOT=${got}\n${script}\n`)
  const config = await site.configured(
    `${DEBUG}[[destination]]\ncommand = ["${program}", "push", "my cache"]\n${more}`,
  )
  const paths = (await site.paths(jobs)).sort()
  const names = await site.enqueue(paths)
  const lines = () => (existsSync(got) ? readFileSync(got, 'utf8').trimEnd().split('\n') : [])
  return { site, config, paths, names, lines }
}

const drain = (site: Site, config: string[]) => site.run(['drain', ...config])

test('0: it gets the paths behind its arguments, and all are done', async () => {
  const { site, config, paths, lines } = await siteWith('printf "%s\\n" "$@" > "$GOT"')
  expect(await drain(site, config)).toMatchObject({ exitCode: 0 })
  expect(lines().slice(0, 2)).toEqual(['push', 'my cache'])
  expect(lines().slice(2).sort()).toEqual(paths)
  expect(site.counts()).toMatchObject({ done: 3 })
})

test('0: it gets the paths on stdin, one a line', async () => {
  const { site, config, paths, lines } = await siteWith('[ $# = 2 ] && cat > "$GOT"', 'paths = "stdin"\n')
  expect(await drain(site, config)).toMatchObject({ exitCode: 0 })
  expect(lines().sort()).toEqual(paths)
})

test('0, whatever it leaves unread of them', async () => {
  const result = await run('true', [], { input: '/nix/store/path\n'.repeat(100_000) })
  expect(result).toMatchObject({ exitCode: 0 })
})

test('75: it is down, which costs no attempts', async () => {
  const { site, config } = await siteWith('echo x >> "$GOT"; echo "no room at the inn" >&2; exit 75')
  expect(await drain(site, config)).toMatchObject({ exitCode: 75 })
  for (const { state, attempts, error } of await deliveries(site, 'new')) {
    expect([state, attempts]).toEqual(['waiting', 0])
    expect(error).toMatch(/upload exited with 75: no room at the inn$/)
  }
})

test('anything else: the bad job is found, tried again as often as it may be, and fails', async () => {
  const script = 'case " $* " in *-1\\ *) echo "I hate $3" >&2; exit 3;; esac; printf "%s\\n" "$@" >> "$GOT"'
  const more = 'max-attempts = 3\nretry-min = "10ms"\nretry-max = "20ms"\n'
  const { site, config, paths, lines } = await siteWith(script, more, 20)
  const bad = paths.filter((path) => path.endsWith('-1'))
  expect(bad).toHaveLength(1)
  const daemon = await site.watch(config)
  await site.settle('failed', 1)
  await site.settle('done', 19)
  const [batch] = batchesIn(daemon.log)
  expect(batch?.runs).toBeLessThanOrEqual(2 + 4 * Math.ceil(Math.log2(20)))
  expect(lines().filter((line) => line.startsWith(site.nix.storeDir)).length).toBe(19)
  const [{ attempts, error } = {}] = await deliveries(site, 'failed')
  expect(attempts).toBe(3)
  expect(error).toContain(`exited with 3: I hate ${bad[0]}`)
})

test('it is not there: the error says what to install, and no attempts are spent', async () => {
  const site = await makeSite()
  await site.enqueue(await site.paths(1))
  const config = await site.configured('[[destination]]\ncommand = ["attic-is-not-here", "push"]\n')
  expect(await drain(site, config)).toMatchObject({ exitCode: 75 })
  const [{ attempts, error } = {}] = await deliveries(site, 'new')
  expect(attempts).toBe(0)
  expect(error).toMatch(/no program "attic-is-not-here" on PATH; install it/)
})

test('it hangs: the progress time-out ends it and all it started', async () => {
  const script =
    'sleep 1000 & echo $! > "$GOT"; sh -c \'trap "" TERM; sleep 999; sleep 998\' & echo $! >> "$GOT"; wait'
  const { site, config, lines } = await siteWith(script, 'progress-timeout = "1s"\nretry-min = "1h"\n')
  const startedAt = performance.now()
  const daemon = await site.watch(config)
  const line = JSON.parse(await daemon.says('the destination is down'))
  // One second of silence, and five until what doesn't listen is killed.
  expect(performance.now() - startedAt).toBeLessThan(20_000)
  expect(line.error).toMatch(/^no sign of life for too long/)
  expect(lines()).toHaveLength(2)
  await until(() => lines().every((pid) => !isRunning(Number(pid))), `the end of ${lines()}`)
  await daemon.stop()
  const [{ state, attempts } = {}] = await deliveries(site, 'new')
  expect([state, attempts]).toEqual(['waiting', 0])
})

test('it takes its time, but says so: nobody ends it', async () => {
  const script =
    'for i in 1 2 3 4; do sleep 0.7; printf .; done; for i in 1 2 3; do sleep 0.7; printf . >&2; done'
  const { site, config } = await siteWith(script, 'progress-timeout = "1500ms"\n', 1)
  expect(await drain(site, config)).toMatchObject({ exitCode: 0 })
})
