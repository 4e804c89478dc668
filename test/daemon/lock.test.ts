import { existsSync, mkdirSync, rmSync, utimesSync } from 'node:fs'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { ownIdentity } from '../../src/daemon/identity.ts'
import { lockIdentity, takeLock } from '../../src/daemon/lock.ts'
import type { Spool } from '../../src/spool/layout.ts'
import { writeReport } from '../../src/spool/report.ts'
import { EXIT, UserError } from '../../src/util/user-error.ts'
import { tempSpool } from '../spool/temp-spool.ts'

const neverLost = (error: Error) => {
  throw error
}
const DEAD = ownIdentity().replace(/\d+$/, '1')
/** A lock of whose holder nothing is known is waited out for longer than this. */
const WAITED_OUT_MS = 8_000

function reportFrom(spool: Spool, identity: string): void {
  const startedAt = new Date().toISOString()
  writeReport(spool, { pid: process.pid, identity, lock: lockIdentity(spool), startedAt, destinations: {} })
}

test('one at a time: it is held until it is given back', async () => {
  const { spool } = tempSpool()
  const unlock = await takeLock(spool, neverLost)
  expect(existsSync(spool.lockDir)).toBe(true)
  reportFrom(spool, ownIdentity())
  await expect(takeLock(spool, neverLost)).rejects.toThrow(
    `process ${process.pid} is delivering ${spool.root} already`,
  )
  await expect(takeLock(spool, neverLost)).rejects.toMatchObject({ exitCode: EXIT.tryLater })
  await unlock()
  expect(existsSync(spool.lockDir)).toBe(false)
  await (await takeLock(spool, neverLost))()
})

test('a living holder that has not said who it is, is known by the lock it renews', async () => {
  const { spool } = tempSpool()
  const unlock = await takeLock(spool, neverLost)
  const startedAt = performance.now()
  await expect(takeLock(spool, neverLost)).rejects.toThrow(
    `another process is delivering ${spool.root} already`,
  )
  expect(performance.now() - startedAt).toBeLessThan(WAITED_OUT_MS)
  await unlock()
})

test('a holder that is known to be dead is not waited for', async () => {
  const { spool } = tempSpool()
  mkdirSync(spool.lockDir)
  reportFrom(spool, DEAD)
  const startedAt = performance.now()
  await (await takeLock(spool, neverLost))()
  expect(performance.now() - startedAt).toBeLessThan(WAITED_OUT_MS)
})

test('nor is one whose lock was not renewed for ten seconds', async () => {
  const { spool } = tempSpool()
  mkdirSync(spool.lockDir)
  const then = Date.now() / 1000 - 11
  utimesSync(spool.lockDir, then, then)
  await (await takeLock(spool, neverLost))()
})

test('a fresh lock that nobody renews, of whom nothing is known, is waited out', async () => {
  const { spool } = tempSpool()
  mkdirSync(spool.lockDir)
  const startedAt = performance.now()
  await (await takeLock(spool, neverLost))()
  expect(performance.now() - startedAt).toBeGreaterThan(WAITED_OUT_MS)
})

test('the report of a dead daemon does not speak against the lock of one that came after it', async () => {
  const { spool } = tempSpool()
  mkdirSync(spool.lockDir)
  reportFrom(spool, DEAD)
  rmSync(spool.lockDir, { recursive: true })
  const unlock = await takeLock(spool, neverLost)
  await expect(takeLock(spool, neverLost)).rejects.toThrow(UserError)
  await unlock()
})

test('whoever loses it is told', async () => {
  const { spool } = tempSpool()
  const lost = new Promise<Error>(
    (resolve) => void takeLock(spool, resolve).then(() => rmSync(spool.lockDir, { recursive: true })),
  )
  expect(await lost).toBeInstanceOf(Error)
})

test('a holder that was killed leaves a lock that the next one takes', async () => {
  const { spool } = tempSpool()
  const url = (path: string) => new URL(`../../src/${path}`, import.meta.url)
  const holder = `
    import { lockIdentity, takeLock } from '${url('daemon/lock.ts')}'
    import { ownIdentity } from '${url('daemon/identity.ts')}'
    import { spoolAt } from '${url('spool/layout.ts')}'
    import { writeReport } from '${url('spool/report.ts')}'
    const spool = spoolAt(process.argv[1])
    await takeLock(spool, () => {})
    writeReport(spool, { pid: process.pid, identity: ownIdentity(), lock: lockIdentity(spool), startedAt: '', destinations: {} })
    process.kill(process.pid, 'SIGKILL')`
  await execa(process.execPath, ['--input-type=module', '-e', holder, spool.root], { reject: false })
  expect(existsSync(spool.lockDir)).toBe(true)
  const startedAt = performance.now()
  await (await takeLock(spool, neverLost))()
  expect(performance.now() - startedAt).toBeLessThan(WAITED_OUT_MS)
})

test('a spool that can’t be locked is said in words', async () => {
  const { spool } = tempSpool()
  rmSync(spool.root, { recursive: true })
  await expect(takeLock(spool, neverLost)).rejects.toThrow(
    `can't lock the spool ${spool.root}: no such file or directory`,
  )
})
