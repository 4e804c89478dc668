// Disks that are full, read-only, broken, or not one disk.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import {
  BUILT_HELLO,
  bed,
  fake,
  HELLO,
  HELLO_DRV,
  left,
  NOTHING,
  runAmongMounts,
  runHook,
  theJob,
  theLine,
  traceHook,
} from './bed.ts'

const STRICT = { NIX_UPLOAD_STRICT: '1' }

describe('on a disk of its own, a build', () => {
  const SMALL = 'mount -t tmpfs -o size=64k tmpfs "$PWD"; cd "$PWD"; mkdir tmp new'

  test('is queued', async () => {
    const result = await runAmongMounts(bed(), SMALL)
    expect(result).toMatchObject({ stdout: `nix-upload: queued ${result.new[0]}`, exitCode: 0 })
  })

  test.each([
    { what: 'is full', fill: 'dd if=/dev/zero of=full bs=4k 2>/dev/null || true' },
    { what: 'has no inode left', fill: 'i=0; while touch "full$i" 2>/dev/null; do i=$((i+1)); done' },
  ])('is not queued when that disk $what, and leaves nothing', async ({ fill }) => {
    const here = bed()
    const setup = `${SMALL.replace('64k', '64k,nr_inodes=20')}; set +e; ${fill}; set -e`
    const result = await runAmongMounts(here, setup)
    expect(result).toMatchObject({ stdout: '', exitCode: 0, tmp: [], new: [], gcroots: [] })
    expect(theLine(result)).toMatch(
      new RegExp(
        `^nix-upload: not queued: ${HELLO_DRV}: cannot write in .*/tmp: dd: .*: No space left on device$`,
      ),
    )
    expect(await runAmongMounts(bed(), setup, { ...BUILT_HELLO, ...STRICT })).toMatchObject({ exitCode: 1 })
  })

  test('is not queued when that disk is read-only', async () => {
    const result = await runAmongMounts(bed(), `${SMALL}; mount -o remount,ro .`)
    expect(result).toMatchObject({ stdout: '', exitCode: 0, tmp: [], new: [], gcroots: [] })
    expect(theLine(result)).toMatch(
      /^nix-upload: not queued: .*: cannot write in .*: dd: .*: Read-only file system$/,
    )
  })

  test('is queued without roots when those would be on a disk that is full', async () => {
    const here = bed()
    const result = await runAmongMounts(here, `mount -t tmpfs -o nr_inodes=1 tmpfs "${here.gcroots}"`)
    expect(theLine(result)).toMatch(
      /^nix-upload: queued .*, but its paths are not protected .*: No space left on device$/,
    )
    expect(result).toMatchObject({ exitCode: 0, tmp: [], gcroots: [] })
    expect(result.new).toHaveLength(1)
  })

  test('is queued where the roots are on another disk than the spool', async () => {
    const here = bed()
    const result = await runAmongMounts(here, `mount -t tmpfs tmpfs "${here.gcroots}"`)
    expect(result.gcroots).toEqual([`${rootKey(result.new[0] ?? '')}.${'1'.repeat(32)}`])
  })
})

describe('a build is not queued where a rename from tmp/ to new/ would become a copy:', () => {
  test.each([
    { what: 'new/ is another disk', setup: 'mount -t tmpfs tmpfs new' },
    { what: 'tmp/ is another disk', setup: 'mount -t tmpfs tmpfs tmp' },
    {
      what: 'new/ is a bind mount of the same disk',
      setup: 'mkdir ../elsewhere; mount --bind ../elsewhere new',
    },
    { what: 'new/ is mounted on itself', setup: 'mount --bind new new' },
  ])('$what', async ({ setup }) => {
    const here = bed()
    const result = await runAmongMounts(here, setup)
    expect(result).toMatchObject({ stdout: '', exitCode: 0, tmp: [], new: [], gcroots: [] })
    expect(theLine(result)).toBe(
      `nix-upload: not queued: ${HELLO_DRV}: ${here.spool}/tmp and ${here.spool}/new are on different filesystems or mounts`,
    )
    expect(await runAmongMounts(bed(), setup, { ...BUILT_HELLO, ...STRICT })).toMatchObject({ exitCode: 1 })
  })

  test('the whole spool may be a bind mount', async () => {
    const result = await runAmongMounts(
      bed(),
      'mkdir ../elsewhere; mount --bind . ../elsewhere; mount --bind . .; cd .',
    )
    expect(result).toMatchObject({ exitCode: 0, tmp: [] })
    expect(result.new).toHaveLength(1)
  })
})

describe('when the disk fails', () => {
  test.each(['the job', 'its roots'])('to sync %s, it is not queued, and leaves nothing', async (what) => {
    const here = bed()
    const only = what === 'the job' ? [] : ['-P', here.gcroots]
    const result = await traceHook(here, [...only, '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO'])
    expect(result).toMatchObject({ stdout: '', exitCode: 0 })
    expect(theLine(result)).toMatch(
      new RegExp(
        `^nix-upload: not queued: ${HELLO_DRV}: cannot make it durable: sync: .*: Input/output error$`,
      ),
    )
    expect(left(here)).toEqual(NOTHING)
  })

  // "Can Applications Recover from fsync Failures?": the second fsync says that all is well, and it is not.
  test('to sync the job once, there is no second try', async () => {
    const here = bed()
    fake(here, 'sync', `[ -e "${here.dir}/tried" ] && exit; touch "${here.dir}/tried"; exit 1`)
    expect(theLine(await runHook(here))).toMatch(/^nix-upload: not queued: .*: cannot make it durable/)
    expect(left(here)).toEqual(NOTHING)
  })

  // Most likely it is delivered all the same. To take it away would lose it for certain.
  test('to sync new/, the job stays, and the line says so', async () => {
    const here = bed()
    const args = ['-P', join(here.spool, 'new'), '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO']
    const result = await traceHook(here, args)
    const { name } = theJob(here)
    expect(result).toMatchObject({ stdout: '', exitCode: 0 })
    expect(theLine(result)).toBe(
      `nix-upload: perhaps not queued: ${HELLO_DRV}: ${name} is in new/, but a power cut may undo it: ` +
        `cannot sync ${here.spool}/new: sync: error syncing '.': Input/output error`,
    )
    expect(left(here)).toEqual({
      tmp: [],
      new: [name],
      roots: { [`${rootKey(name)}.${'1'.repeat(32)}`]: HELLO },
    })
    expect(await traceHook(here, args, { ...BUILT_HELLO, ...STRICT })).toMatchObject({ exitCode: 1 })
  })

  test('to rename the job, it is not queued, and leaves nothing', async () => {
    const here = bed()
    const result = await traceHook(here, ['-e', 'trace=renameat2', '-e', 'inject=renameat2:error=EIO'])
    expect(theLine(result)).toMatch(
      /^nix-upload: not queued: .*: cannot rename it into .*: mv: .*: Input\/output error$/,
    )
    expect(left(here)).toEqual(NOTHING)
  })

  test('to rename the job once, it is queued at the second try', async () => {
    const here = bed()
    const once = `touch "${here.dir}/tried"; exit 1`
    fake(here, 'mv', `[ -e "${here.dir}/tried" ] || { ${once}; }; exec /usr/bin/mv "$@"`)
    expect(theLine(await runHook(here))).toBe(`nix-upload: queued ${theJob(here).name}`)
    expect(readdirSync(join(here.spool, 'tmp'))).toEqual([])
  })
})
