import { readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, test } from 'vitest'
import { GcRoots, rootKey } from '../../src/nix/gc-roots.ts'
import { hashOf } from '../../src/nix/store-path.ts'
import { handOver } from '../../src/spool/hand-over.ts'
import { contentOf, frozen, jobText, put, rooted, storePath, tempSpool, tree } from './temp-spool.ts'

const NOW = new Date('2026-11-22T03:14:02.789Z')
const HELLO = storePath('hello-2.12.1')
const HELLO_DRV = storePath('hello-2.12.1.drv')

describe('T1: a job that is handed over', () => {
  test('S2: is one line in new/, as the hook writes it', () => {
    const { spool, roots } = tempSpool()
    const { names } = handOver(spool, roots, [{ drvPath: HELLO_DRV, outPaths: [HELLO] }], NOW)
    expect(tree(spool)).toEqual({ new: names })
    expect(contentOf(spool, 'new', names[0] ?? '')).toBe(
      `{"version":1,"drvPath":"${HELLO_DRV}","outPaths":["${HELLO}"],"queuedAt":"2026-11-22T03:14:02Z"}\n`,
    )
  })

  test.each([
    { built: { drvPath: HELLO_DRV, outPaths: [] }, ending: 'hello-2.12.1.json' },
    { built: { outPaths: [HELLO, storePath('other')] }, ending: 'hello-2.12.1.json' },
    { built: { outPaths: [storePath('x'.repeat(211))] }, ending: `${'x'.repeat(120)}.json` },
  ])('is named after the time, something unique and what was built: $ending', ({ built, ending }) => {
    const { spool, roots } = tempSpool()
    const [name = ''] = handOver(spool, roots, [built], NOW).names
    expect(name).toMatch(/^20261122T031402Z-[0-9a-f]{12}-/)
    expect(name.slice('20261122T031402Z-1b4e28ba2fa1-'.length)).toBe(ending)
  })

  test('has a name of its own among 1,000 of the same second and the same build, and they come in order', () => {
    const { spool, roots } = tempSpool()
    const { names } = handOver(spool, roots, Array(1000).fill({ outPaths: [HELLO] }), NOW)
    expect(new Set(names).size).toBe(1000)
    expect(tree(spool)).toEqual({ new: [...names].sort() })
  })

  test('leaves what is in new/ as it is', () => {
    const { spool, roots } = tempSpool()
    put(spool, 'new', 'older.json', 'whatever')
    const { names } = handOver(spool, roots, [{ outPaths: [HELLO] }])
    expect(tree(spool)).toEqual({ new: [...names, 'older.json'].sort() })
    expect(contentOf(spool, 'new', 'older.json')).toBe('whatever')
  })
})

describe('T1b: its GC roots', () => {
  test.each([
    {
      what: 'one a path',
      job: { drvPath: HELLO_DRV, outPaths: [HELLO, storePath('doc')] },
      paths: [HELLO, storePath('doc')],
    },
    {
      what: 'the derivation where no outputs are known',
      job: { drvPath: HELLO_DRV, outPaths: [] },
      paths: [HELLO_DRV],
    },
  ])('are symlinks KEY.HASH: $what', ({ job, paths }) => {
    const { dir, spool, roots } = tempSpool()
    const [name = ''] = handOver(spool, roots, [job]).names
    const targets = [...roots.entries()].map(({ path }) => readlinkSync(path))
    expect(targets.sort()).toEqual([...paths].sort())
    for (const path of paths)
      expect(readlinkSync(join(dir, 'gcroots', `${rootKey(name)}.${hashOf(path)}`))).toBe(path)
  })

  test('fit into a file name however long what was built is called', () => {
    const temp = tempSpool()
    const { names, rootsError } = handOver(temp.spool, temp.roots, [
      { outPaths: [storePath('x'.repeat(211))] },
    ])
    expect(rootsError).toBeUndefined()
    expect(rooted(temp)).toEqual(names.map(rootKey))
  })

  test('that cannot be made do not stop it: it is queued, and the caller is told', () => {
    const { dir, spool, roots } = tempSpool()
    rmSync(join(dir, 'gcroots'), { recursive: true })
    const { names, rootsError } = handOver(spool, roots, [{ outPaths: [HELLO] }])
    expect(rootsError).toMatchObject({ code: 'ENOENT' })
    expect(tree(spool)).toEqual({ new: names })
  })

  test('are not asked for where roots are turned off', () => {
    const { spool } = tempSpool()
    expect(handOver(spool, new GcRoots(''), [{ outPaths: [HELLO] }])).not.toHaveProperty('rootsError')
  })
})

describe('C1: a hand-over that fails', () => {
  const jobs = [{ outPaths: [HELLO] }, { outPaths: [storePath('other')] }]

  test.each([
    { step: 'T1a', where: 'tmp' },
    { step: 'T1e', where: 'new' },
  ] as const)('at $step throws and leaves nothing behind, neither files nor roots', ({ where }) => {
    const temp = tempSpool()
    put(temp.spool, 'new', 'older.json', jobText())
    const attempt = () => handOver(temp.spool, temp.roots, jobs)
    expect(() => frozen(temp, temp.spool[where], attempt)).toThrow('EACCES')
    expect(tree(temp.spool)).toEqual({ new: ['older.json'] })
    expect(rooted(temp)).toEqual([])
  })

  test('at T1c, in the midst of many, takes back those before it', async () => {
    const temp = tempSpool()
    const src = (path: string) => new URL(`../../src/${path}`, import.meta.url)
    const script = `
      import { handOver } from '${src('spool/hand-over.ts')}'
      import { spoolAt } from '${src('spool/layout.ts')}'
      import { GcRoots } from '${src('nix/gc-roots.ts')}'
      import { wordsOf } from '${src('util/user-error.ts')}'
      const [root, gcroots, jobs] = JSON.parse(process.argv[1])
      try {
        handOver(spoolAt(root), new GcRoots(gcroots), jobs)
      } catch (error) {
        console.log(wordsOf(error))
      }`
    const large = { outPaths: Array.from({ length: 50 }, (_, at) => storePath(`output-${at}`)) }
    const argument = JSON.stringify([temp.spool.root, temp.roots.directory, [...jobs, large, ...jobs]])
    // No file may be larger than a KiB: writing the third one fails.
    const limited = 'ulimit -f 2; exec "$@"'
    const node = [process.execPath, '--input-type=module', '-e', script, argument]
    const { stdout } = await execa('sh', ['-c', limited, 'sh', ...node])
    expect(stdout).toMatch(/^file too large: .*\/tmp\/[0-9a-f-]{36}$/)
    expect(tree(temp.spool)).toEqual({})
    expect(rooted(temp)).toEqual([])
  })
})
