import { execa } from 'execa'
import { describe, expect, test } from 'vitest'
import { lifeOf, ownIdentity, startOf } from '../../src/daemon/identity.ts'
import type { Report } from '../../src/spool/report.ts'

const report = (identity: string, pid = process.pid): Report => ({
  pid,
  identity,
  lock: 'none',
  startedAt: '2026-11-22T03:14:02.000Z',
  destinations: {},
})
const [boot, namespace, pid, startTime] = ownIdentity().split(' ')

describe('a process is named by boot, PID namespace, PID and start time', () => {
  test('which stay the same', () => {
    expect(ownIdentity()).toBe(ownIdentity())
    expect([boot, namespace, pid, startTime]).toEqual([
      expect.stringMatching(/^[0-9a-f-]{36}$/),
      expect.stringMatching(/^pid:\[\d+\]$/),
      `${process.pid}`,
      expect.stringMatching(/^\d+$/),
    ])
  })

  test.each<[who: string, identity: string, life: string]>([
    ['this one', `${boot} ${namespace} ${pid} ${startTime}`, 'alive'],
    ['one that had its PID before', `${boot} ${namespace} ${pid} ${Number(startTime) - 1}`, 'dead'],
    [
      'one from before the last reboot',
      `${boot?.replace(/^./, 'x')} ${namespace} ${pid} ${startTime}`,
      'dead',
    ],
    ['one in another container', `${boot} pid:[1] ${pid} ${startTime}`, 'unknown'],
    ['one in another container, before the last reboot', `x pid:[1] ${pid} ${startTime}`, 'dead'],
  ])('%s is %s', (_who, identity, life) => {
    expect(lifeOf(report(identity))).toBe(life)
  })

  test('one that sees another boot ID, as under systemd-nspawn, is known by when it was started', () => {
    const startedAt = new Date((startOf(process.pid) ?? 0) + 3000).toISOString()
    const other = { ...report(`other ${namespace} ${pid} ${startTime}`), startedAt }
    expect(lifeOf(other)).toBe('alive')
    expect(lifeOf({ ...other, identity: `other ${namespace} ${pid} 1` })).toBe('dead')
  })

  test('that is gone is dead', async () => {
    const url = new URL('../../src/daemon/identity.ts', import.meta.url)
    const code = `import { ownIdentity } from '${url}'; console.log(process.pid + '\\n' + ownIdentity())`
    const { stdout } = await execa(process.execPath, ['--input-type=module', '-e', code])
    const [its = '', identity = ''] = stdout.split('\n')
    expect(identity).toContain(` ${its} `)
    expect(lifeOf(report(identity, Number(its)))).toBe('dead')
  })
})

describe('where there is no /proc a process is named by its PID', () => {
  test.each<[pid: number, life: string]>([
    [process.pid, 'alive'],
    [1, 'alive'],
    [2 ** 22 + 1, 'dead'],
  ])('%i is %s', (number, life) => {
    expect(lifeOf(report(`${number}`, number))).toBe(life)
  })
})
