import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import { contentOf, rooted, tree } from '../spool/temp-spool.ts'
import { addToStore, type Bench, bench, build } from './cli.ts'

beforeAll(build)

/** What enqueue says where there is no Nix, as on these benches. test/nix/temporary-roots.test.ts has real ones. */
const NO_NIX =
  'nix-upload: Nix can\'t be asked, so a running garbage collection may delete queued paths: there is no program "nix-store" on PATH'

/** What the jobs in new/ are to upload. */
function queued({ spool }: Bench): string[] {
  return (tree(spool).new ?? []).flatMap((name) => JSON.parse(contentOf(spool, 'new', name)).outPaths).sort()
}

describe('enqueue', () => {
  test('queues a store path as the hook does, with a GC root, and prints the job’s name', async () => {
    const temp = bench()
    const path = addToStore(temp, 'hello-2.12.1')
    const { stdout, stderr, exitCode } = await temp.run(['enqueue', path])
    expect([exitCode, stderr]).toEqual([0, NO_NIX])
    expect(stdout).toMatch(/^\d{8}T\d{6}Z-[0-9a-f]{12}-hello-2\.12\.1\.json$/)
    expect(tree(temp.spool)).toEqual({ new: [stdout] })
    expect(contentOf(temp.spool, 'new', stdout)).toMatch(
      /^\{"version":1,"outPaths":\[.+\],"queuedAt":"[\d-]+T[\d:]+Z"\}\n$/,
    )
    expect(queued(temp)).toEqual([path])
    expect(rooted(temp)).toEqual([rootKey(stdout)])
  })

  test('takes symlinks into the store, files in store paths, and several at once, a job each', async () => {
    const temp = bench()
    const [hello, world] = [addToStore(temp, 'hello'), addToStore(temp, 'world')]
    symlinkSync(hello, join(temp.dir, 'result'))
    symlinkSync('result', join(temp.dir, 'result-2'))
    const { stdout, exitCode } = await temp.run([
      'enqueue',
      './result',
      'result-2/bin',
      join(world, 'bin/file'),
    ])
    expect([exitCode, stdout.split('\n').length]).toEqual([0, 3])
    expect(queued(temp)).toEqual([hello, hello, world].sort())
  })

  test('- reads them from stdin, one a line', async () => {
    const temp = bench()
    const paths = ['one', 'two', 'three'].map((name) => addToStore(temp, name))
    const input = `${paths[0]}\r\n\n  ${paths[1]}  \n${paths[2]}`
    expect(await temp.run(['enqueue', '-'], { input })).toMatchObject({ stderr: NO_NIX, exitCode: 0 })
    expect(queued(temp)).toEqual(paths.sort())
  })

  test('- of thousands queues them all; of nothing, nothing', async () => {
    const temp = bench()
    const paths = Array.from({ length: 1200 }, (_, at) => addToStore(temp, `p${at}`))
    const { stdout, exitCode } = await temp.run(['enqueue', '-'], { input: paths.join('\n') })
    expect([exitCode, stdout.split('\n').sort()]).toEqual([0, tree(temp.spool).new])
    expect(queued(temp)).toEqual(paths.sort())
    expect(await bench().run(['enqueue', '-'], { input: '' })).toMatchObject({ stdout: '', exitCode: 0 })
  })

  test('makes the spool where its parent exists', async () => {
    const temp = bench()
    rmSync(temp.spool.root, { recursive: true })
    expect(await temp.run(['enqueue', addToStore(temp, 'hello')])).toMatchObject({ exitCode: 0 })
    expect(queued(temp)).toHaveLength(1)
    const { stderr, exitCode } = await temp.run([
      'enqueue',
      '--spool',
      join(temp.dir, 'no/spool'),
      addToStore(temp, 'hello'),
    ])
    expect(stderr).toMatch(
      /^nix-upload: can't make the spool directory .*\/no\/spool: .*\/no does not exist$/,
    )
    expect(exitCode).toBe(1)
  })

  test('queues what it can’t protect from garbage collection, and says so', async () => {
    const temp = bench()
    const env = { NIX_UPLOAD_GCROOTS: join(temp.dir, 'no/gcroots') }
    const { stderr, exitCode } = await temp.run(['enqueue', addToStore(temp, 'hello')], { env })
    expect(stderr).toMatch(
      /^nix-upload: queued, but without GC roots .*: no such file or directory: .*\/no\/gcroots/m,
    )
    expect([exitCode, queued(temp).length]).toEqual([0, 1])
  })

  test('takes the store directory as Nix does, with a slash at its end too', async () => {
    const temp = bench()
    const path = addToStore(temp, 'hello')
    expect(await temp.run(['enqueue', path], { env: { NIX_STORE_DIR: `${temp.store}/` } })).toMatchObject({
      exitCode: 0,
    })
    expect(queued(temp)).toEqual([path])
  })
})

describe('what can’t be queued is said on a line each, fails, and stops no other', () => {
  test('as arguments or on stdin', async () => {
    const temp = bench()
    const path = addToStore(temp, 'hello')
    writeFileSync(join(temp.dir, 'file'), '')
    symlinkSync('nowhere', join(temp.dir, 'dangling'))
    mkdirSync(join(temp.store, '.links'))
    const missing = path.replace('hello', 'missing')
    const bad = [
      'nothing',
      'file',
      'dangling',
      missing,
      `${missing}/bin`,
      temp.store,
      join(temp.store, '.links'),
      '/',
      '../..',
      ' ',
      'a\u001b[2J',
    ]
    const reasons = [
      /: nothing: there is no such file$/,
      /: file is not a store path, and not a link to one such as \.\/result \(the store is .*\/store\)$/,
      /: dangling: there is no such file$/,
      /-missing: there is no such file$/,
      /-missing\/bin: there is no such file$/,
      /\/store is not a store path, and not a link to one/,
      /\/\.links is not a store path, and not a link to one/,
      /: \/ is not a store path, and not a link to one/,
      /: \.\.\/\.\. is not a store path, and not a link to one/,
      /there is no such file$/,
      /: a\\u\{1b\}\[2J: there is no such file$/,
    ]
    const { stdout, stderr, exitCode } = await temp.run(['enqueue', ...bad, path])
    const refusals = stderr.split('\n').filter((line) => line !== NO_NIX)
    expect(refusals).toEqual(reasons.map((reason) => expect.stringMatching(reason)))
    for (const line of refusals) expect(line).toMatch(/^nix-upload: not queued: /)
    expect([exitCode, tree(temp.spool)]).toEqual([1, { new: [stdout] }])
    expect(await temp.run(['enqueue', '-'], { input: `nothing\n${path}\n` })).toMatchObject({ exitCode: 1 })
    expect(queued(temp)).toEqual([path, path])
  })

  test('where none is left, nothing is queued', async () => {
    const temp = bench()
    expect(await temp.run(['enqueue', 'nothing'])).toMatchObject({ stdout: '', exitCode: 1 })
    expect(tree(temp.spool)).toEqual({})
    expect(existsSync(join(temp.dir, 'nothing'))).toBe(false)
  })

  test('where none is left, nothing is said of roots that could not be made', async () => {
    const temp = bench()
    const env = { NIX_UPLOAD_GCROOTS: join(temp.dir, 'no/gcroots') }
    const { stderr } = await temp.run(['enqueue', 'nothing'], { env })
    expect(stderr).toBe('nix-upload: not queued: nothing: there is no such file')
  })
})
