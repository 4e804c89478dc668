import { expect, test } from 'vitest'
import { fail, ok } from '../../../src/cli/doctor/check.ts'
import { withReport } from '../../../src/cli/doctor/reported.ts'
import type { Service } from '../../../src/cli/doctor/service.ts'
import { loadConfig } from '../../../src/config/load.ts'

const TO = 'https://cache.example.org'
const WHY = 'the host name of the destination can’t be resolved'

/** The daemon says that the destination is down. */
const service: Service = {
  user: { name: 'root', uid: 0, gid: 0, home: '/root' },
  how: 'as asked',
  env: undefined,
  groups: undefined,
  unit: undefined,
  report: {
    pid: 1,
    identity: 'x',
    lock: 'x',
    startedAt: '2026-11-22T03:14:02Z',
    destinations: { default: { to: TO, state: 'down', lastError: WHY, failures: 1 } },
  },
}

async function reported(check: ReturnType<typeof ok>): Promise<string> {
  const [destination] = (await loadConfig({ to: TO }, {})).destinations
  if (!destination) throw new Error('there is no destination')
  return withReport(check, destination, service).what
}

test('what doctor and daemon both say is said once', async () => {
  expect(await reported(fail('destination default', `${TO}: ${WHY}`, ''))).toBe(
    `${TO}: ${WHY}\nthe daemon says the same`,
  )
})

test('what only the daemon says is said too', async () => {
  expect(await reported(fail('destination default', `${TO}: 403`, ''))).toBe(
    `${TO}: 403\ndown, according to the daemon: ${WHY}`,
  )
  expect(await reported(ok('destination default', 'it answers'))).toBe(
    `down, according to the daemon: ${WHY}; just now: it answers`,
  )
})
