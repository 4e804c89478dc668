// When a daemon that runs should be restarted. Units are in test/systemd and test/deb, booted.

import { writeFileSync } from 'node:fs'
import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { simpleDestination } from '../../src/config/destination.ts'
import { ownIdentity } from '../../src/daemon/identity.ts'
import { staleness } from '../../src/daemon/stale.ts'
import type { Report } from '../../src/spool/report.ts'
import { version } from '../../src/util/version.ts'
import { tempDir } from '../spool/temp-spool.ts'

/** A daemon that is this very process, and has just read its configuration. */
async function started(
  more: Partial<Report> = {},
): Promise<{ report: Report; configFile: string; dir: string }> {
  const dir = tempDir()
  const configFile = join(dir, 'config.toml')
  writeFileSync(configFile, '')
  await sleep(20)
  const now = new Date().toISOString()
  const own = { pid: process.pid, identity: ownIdentity(), lock: '', startedAt: now, destinations: {} }
  return { report: { ...own, version: version(), configFile, configReadAt: now, ...more }, configFile, dir }
}

describe('a daemon', () => {
  test('is up to date where nothing has changed', async () => {
    const { report } = await started()
    expect(staleness(report, [])).toBeUndefined()
  })

  test('is not once its configuration has, whatever time the file says', async () => {
    const { report, configFile } = await started()
    await sleep(20)
    await utimes(configFile, 0, 0)
    expect(staleness(report, [])).toEqual({
      reasons: [`${configFile} has changed`],
      command: 'end it with SIGTERM, and start it as before',
    })
  })

  test('is again when it has read that in the meantime', async () => {
    const { report, configFile } = await started()
    await sleep(20)
    writeFileSync(configFile, 'max-rate = "1MB"')
    await sleep(20)
    expect(staleness({ ...report, configReadAt: new Date().toISOString() }, [])).toBeUndefined()
  })

  test('is not when a login it keeps in memory has changed; a key it reads each time', async () => {
    const { report, dir } = await started()
    const [netrcFile, secretKeyFile] = [join(dir, 'netrc'), join(dir, 'key')]
    await sleep(20)
    for (const file of [netrcFile, secretKeyFile]) writeFileSync(file, '')
    const destination = { ...simpleDestination('https://cache.example.org', secretKeyFile), netrcFile }
    expect(staleness(report, [destination])?.reasons).toEqual([`${netrcFile} has changed`])
  })

  test('is not when another version was installed', async () => {
    const { report } = await started({ version: '0.0.9' })
    expect(staleness(report, [])?.reasons).toEqual([`version ${version()} was installed, and it is 0.0.9`])
  })

  test('is not when the same version was installed anew, as seen by one that says no version', async () => {
    const { report } = await started({ startedAt: '2020-01-01T00:00:00.000Z' })
    const { version: _, ...old } = report
    // The time that was written down is of a clock that was set since: the kernel's counts.
    expect(staleness(old, [])).toBeUndefined()
  })
})
