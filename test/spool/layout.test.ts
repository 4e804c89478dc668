import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, test } from 'vitest'
import { existingSpool, openSpool, spoolAt } from '../../src/spool/layout.ts'
import { UserError } from '../../src/util/user-error.ts'
import { put, tempDir, unprivileged } from './temp-spool.ts'

const FIVE = ['cur', 'done', 'failed', 'new', 'tmp']

describe('opening a spool to work in it', () => {
  test('makes the five directories where the spool’s parent exists, and takes them where they are', () => {
    const root = join(tempDir(), 'spool')
    expect(openSpool(root)).toEqual(spoolAt(root))
    expect(readdirSync(root).sort()).toEqual(FIVE)
    put(openSpool(root), 'new', 'X.json')
    rmSync(join(root, 'tmp'), { recursive: true })
    expect(readdirSync(openSpool(root).new)).toEqual(['X.json'])
    expect(readdirSync(root).sort()).toEqual(FIVE)
  })

  test('takes one that is reached over a symlink', () => {
    const dir = tempDir()
    mkdirSync(join(dir, 'elsewhere'))
    symlinkSync('elsewhere', join(dir, 'spool'))
    openSpool(join(dir, 'spool'))
    expect(readdirSync(join(dir, 'elsewhere')).sort()).toEqual(FIVE)
  })

  test.each([
    {
      what: 'its parent is missing',
      make: (_: string) => undefined,
      path: 'no/spool',
      error: /^can't make the spool directory .*\/no\/spool: .*\/no does not exist$/,
    },
    {
      what: 'a file is in its place',
      make: (dir: string) => writeFileSync(join(dir, 'spool'), ''),
      path: 'spool',
      error: /\/spool is in the way: the spool needs a directory there$/,
    },
    {
      what: 'a symlink leads out of it',
      make: symlinkInside,
      path: 'spool',
      error: /\/spool\/new is in the way: /,
    },
  ])('refuses where $what', ({ make, path, error }) => {
    const dir = tempDir()
    make(dir)
    expect(() => openSpool(join(dir, path))).toThrow(UserError)
    expect(() => openSpool(join(dir, path))).toThrow(error)
  })

  test('refuses where it may not be made, and says so', () => {
    const dir = tempDir()
    mkdirSync(join(dir, 'closed'))
    chmodSync(join(dir, 'closed'), 0o555)
    expect(() => unprivileged(dir, () => openSpool(join(dir, 'closed/spool')))).toThrow(
      new UserError(
        `can't make the spool directory ${dir}/closed/spool: permission denied: ${dir}/closed/spool; run it as root`,
      ),
    )
  })

  test('rule 1: refuses directories on different filesystems', async () => {
    const root = join(tempDir(), 'spool')
    openSpool(root)
    const open = `
      import { openSpool } from '${new URL('../../src/spool/layout.ts', import.meta.url)}'
      openSpool(process.argv[1])`
    // A mount of its own, which is gone with the process.
    const script = 'mount -t tmpfs none "$1/done" && exec "$2" --input-type=module -e "$3" "$1"'
    const own = process.geteuid?.() === 0 ? ['--mount'] : ['--user', '--map-root-user', '--mount']
    const run = execa('unshare', [...own, 'sh', '-c', script, 'sh', root, process.execPath, open])
    await expect(run).rejects.toThrow(
      `UserError: the spool's directories must lie on one filesystem, for a rename between them to be atomic; ` +
        `${root}/done and ${root}/tmp do not`,
    )
  })
})

describe('opening a spool to look at it', () => {
  test('makes nothing', () => {
    const dir = tempDir()
    openSpool(join(dir, 'spool'))
    expect(existingSpool(join(dir, 'spool'))).toEqual(spoolAt(join(dir, 'spool')))
    expect(() => existingSpool(join(dir, 'other'))).toThrow(
      new RegExp(`^there is no spool at ${dir}/other; `),
    )
    expect(readdirSync(dir)).toEqual(['spool'])
  })

  test('says why it can’t', () => {
    const dir = tempDir()
    writeFileSync(join(dir, 'file'), '')
    expect(() => existingSpool(join(dir, 'file'))).toThrow(/not a directory/)
  })
})

function symlinkInside(dir: string): void {
  mkdirSync(join(dir, 'spool'))
  mkdirSync(join(dir, 'outside'))
  symlinkSync('../outside', join(dir, 'spool/new'))
}
