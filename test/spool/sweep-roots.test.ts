import { mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { GcRoots } from '../../src/nix/gc-roots.ts'
import { sweepRoots } from '../../src/spool/sweep-roots.ts'
import { age, HOUR, put, putRoot, rooted, storePath, tempSpool } from './temp-spool.ts'

describe('T11: GC roots', () => {
  test.each([
    { job: 'in new/', state: 'new', hours: 1000, kept: true },
    { job: 'in cur/', state: 'cur', hours: 1000, kept: true },
    { job: 'in failed/', state: 'failed', hours: 1000, kept: true },
    { job: 'in done/', state: 'done', hours: 0, kept: false },
    { job: 'in done/ for long', state: 'done', hours: 1000, kept: false },
    { job: 'being handed over', state: undefined, hours: 35, kept: true },
    { job: 'that never came to be', state: undefined, hours: 37, kept: false },
  ] as const)('of a job $job: kept $kept', async ({ state, hours, kept }) => {
    const temp = tempSpool()
    if (state) put(temp.spool, state, 'X.json')
    putRoot(temp, 'X.json', storePath('one'), hours * HOUR)
    putRoot(temp, 'X.json', storePath('two'), hours * HOUR)
    expect(await sweepRoots(temp.spool, temp.roots)).toBe(kept ? 0 : 2)
    expect(rooted(temp)).toEqual(kept ? ['X.json', 'X.json'] : [])
  })

  test('of a job that waits as X~1.json, because its name was taken when it was given back, stay', async () => {
    const temp = tempSpool()
    putRoot(temp, 'X.json', storePath('one'), 1000 * HOUR)
    put(temp.spool, 'done', 'X.json')
    put(temp.spool, 'done', 'X~1.json')
    const waiting = put(temp.spool, 'new', 'X~2.json')
    expect(await sweepRoots(temp.spool, temp.roots)).toBe(0)
    unlinkSync(waiting)
    expect(await sweepRoots(temp.spool, temp.roots)).toBe(1)
  })

  test('of a job that is named as the hook names it', async () => {
    const temp = tempSpool()
    const names = ['20261122T031402Z-1b4e28ba2fa1-a.json', '20261122T031402Z-2b4e28ba2fa1-a.json']
    for (const name of names) putRoot(temp, name, storePath('one'), 1000 * HOUR)
    const [waits = ''] = names
    put(temp.spool, 'new', waits)
    expect(await sweepRoots(temp.spool, temp.roots)).toBe(1)
    expect(rooted(temp)).toEqual(['1b4e28ba2fa1-a.json'])
  })

  test('of a job that is moved out of done/ while others are removed stay', async () => {
    const temp = tempSpool()
    for (const name of ['X.json', 'Y.json']) {
      put(temp.spool, 'done', name)
      putRoot(temp, name, storePath('one'), 1000 * HOUR)
    }
    // A clock by which each entry takes so long that others have their turn behind it.
    let now = 0
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000))
    onTestFinished(() => clock.mockRestore())
    const sweeping = sweepRoots(temp.spool, temp.roots)
    while (rooted(temp).length === 2) await nextTurn()
    const [left = ''] = rooted(temp)
    renameSync(join(temp.spool.done, left), join(temp.spool.new, left))
    expect(await sweeping).toBe(1)
    expect(rooted(temp)).toEqual([left])
  })

  test('that are not ours stay: other names, other kinds of files', async () => {
    const { dir, spool, roots } = tempSpool()
    const foreign = ['result', 'X.json', `X.json.${'e'.repeat(31)}`, `${'0'.repeat(32)}`]
    for (const name of foreign) symlinkSync(storePath('hello'), join(dir, 'gcroots', name))
    writeFileSync(join(dir, 'gcroots', `file.${'0'.repeat(32)}`), '')
    mkdirSync(join(dir, 'gcroots', `directory.${'0'.repeat(32)}`))
    for (const name of foreign) age(join(dir, 'gcroots', name), 1000 * HOUR)
    expect(await sweepRoots(spool, roots)).toBe(0)
  })

  test('are not looked for where roots are turned off', async () => {
    expect(await sweepRoots(tempSpool().spool, new GcRoots(''))).toBe(0)
  })
})

describe('T12: jobs without roots', () => {
  test('are found in new/, cur/ and failed/, by their present names; those in done/ and those with roots are not', async () => {
    const temp = tempSpool()
    for (const state of ['new', 'cur', 'failed', 'done'] as const) {
      put(temp.spool, state, `${state}-without.json`)
      put(temp.spool, state, `${state}-with.json`)
      putRoot(temp, `${state}-with.json`)
    }
    // Its roots are another job's, which is done before it.
    put(temp.spool, 'new', 'new-with~1.json')
    const found: string[] = []
    await sweepRoots(temp.spool, temp.roots, { onUnprotected: (state, job) => found.push(`${state}/${job}`) })
    expect(found.sort()).toEqual([
      'cur/cur-without.json',
      'failed/failed-without.json',
      'new/new-without.json',
      'new/new-with~1.json',
    ])
  })
})
