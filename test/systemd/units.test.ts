// What the files in systemd/ have to agree on, with each other and with the defaults.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { DEFAULTS, embeddedDestination } from '../../src/config/config.ts'
import { QUIET_MS } from '../../src/daemon/exit-condition.ts'
import { parseDuration } from '../../src/util/duration.ts'

const read = (name: string) => readFileSync(new URL(`../../systemd/${name}`, import.meta.url), 'utf8')

const SERVICES = ['nix-upload.service', 'nix-upload-drain.service'] as const

/** The values of a key, in the order they come in. */
function values(file: string, key: string): string[] {
  return [...read(file).matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value)
}

test('both services have the same user, environment, priorities and hardening', () => {
  const shared = (name: string) => {
    const [, behind = ''] = read(name).split('# --- The same in ')
    return behind.split('[Install]')[0]?.trim()
  }
  const [daemon, drain] = SERVICES.map(shared)
  expect(daemon).toContain('SystemCallFilter=')
  expect(drain).toBe(daemon)
})

test.each(SERVICES)('%s: stopping may take longer than running copies are given', (name) => {
  const [stop] = values(name, 'TimeoutStopSec')
  expect(parseDuration(stop)).toBeGreaterThanOrEqual(DEFAULTS.stopGraceMs + 30_000)
})

test.each(SERVICES)('%s: what must not be there is not there', (name) => {
  // V8 compiles to memory, and the lock's identity has the boot's id in it.
  expect(read(name)).not.toMatch(/^(MemoryDenyWriteExecute|ProcSubset)=/m)
  expect(read(name)).not.toMatch(/^LoadCredential=/m)
})

test('the services, the path unit and the fragments know the default directories', () => {
  for (const name of SERVICES) {
    const writable = values(name, 'ReadWritePaths').join(' ').split(' ')
    expect(writable).toContain(DEFAULTS.spool)
    expect(writable).toContain(`-${DEFAULTS.gcroots}`)
    expect(writable).toContain(`-${embeddedDestination(DEFAULTS.spool).slice('file://'.length)}`)
  }
  expect(values('nix-upload-drain.path', 'DirectoryNotEmpty')).toEqual([`${DEFAULTS.spool}/new`])
  const made = read('nix-upload.tmpfiles')
    .split('\n')
    .filter((line) => line.startsWith('d '))
  const paths = made.map((line) => line.split(/\s+/)[1])
  const below = ['', '/tmp', '/new', '/cur', '/done', '/failed'].map((part) => `${DEFAULTS.spool}${part}`)
  expect(paths).toEqual([...below, `${DEFAULTS.spool}-cache`, DEFAULTS.gcroots])
  for (const line of made) expect(line).toMatch(/ 0755 nix-upload nix-upload -$/)
})

test('a drain that is started for each build in turn does not run into its start limit', () => {
  const [interval] = values('nix-upload-drain.service', 'StartLimitIntervalSec')
  const [burst] = values('nix-upload-drain.service', 'StartLimitBurst')
  expect(QUIET_MS * Number(burst)).toBeGreaterThan(parseDuration(interval) ?? Number.POSITIVE_INFINITY)
})
