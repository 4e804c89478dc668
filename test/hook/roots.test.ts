import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  type Bed,
  BUILT_HELLO,
  bed,
  fake,
  HELLO,
  HELLO_DOC,
  HELLO_DRV,
  left,
  runHook,
  runUnprivileged,
  SHELLS,
  theJob,
  theLine,
} from './bed.ts'

const STRICT = { NIX_UPLOAD_STRICT: '1' }

describe.each(SHELLS)('with $name, a job without its GC roots', (shell) => {
  test('is what an empty NIX_UPLOAD_GCROOTS asks for', async () => {
    const here = bed()
    const result = await runHook(here, { ...BUILT_HELLO, ...STRICT, NIX_UPLOAD_GCROOTS: '' }, shell)
    expect(result).toEqual({ stdout: `nix-upload: queued ${theJob(here).name}`, stderr: '', exitCode: 0 })
    expect(left(here).roots).toEqual({})
  })

  // To lose the upload would be worse.
  test.each<{ what: string; prepare: (here: Bed) => void; why: (here: Bed) => string }>([
    {
      what: 'the directory for them is missing',
      prepare: ({ gcroots }) => rmSync(gcroots, { recursive: true }),
      why: ({ gcroots }) => `there is no directory ${gcroots}`,
    },
    {
      what: 'a file lies there',
      prepare: ({ gcroots }) => {
        rmSync(gcroots, { recursive: true })
        writeFileSync(gcroots, '')
      },
      why: ({ gcroots }) => `there is no directory ${gcroots}`,
    },
    {
      what: 'a symlink lies there, behind which Nix would not look',
      prepare: ({ dir, gcroots }) => {
        rmSync(gcroots, { recursive: true })
        mkdirSync(join(dir, 'elsewhere'))
        symlinkSync('elsewhere', gcroots)
      },
      why: ({ gcroots }) => `${gcroots} is a symlink, and Nix does not follow it to find roots`,
    },
    {
      what: 'ln fails',
      prepare: (here) => fake(here, 'ln', 'echo "ln: no such luck" >&2; exit 1'),
      why: () => 'ln: no such luck',
    },
    {
      what: 'there is no ln',
      prepare: (here) => fake(here, 'ln', 'exit 127'),
      why: () => 'ln failed',
    },
  ])('is queued all the same where $what, and the line says so', async ({ prepare, why }) => {
    const here = bed()
    prepare(here)
    const result = await runHook(here, BUILT_HELLO, shell)
    expect(result.exitCode).toBe(0)
    expect(theLine(result)).toBe(
      `nix-upload: queued ${theJob(here).name}, but its paths are not protected from garbage collection: ${why(here)}`,
    )
    expect(readdirSync(join(here.spool, 'tmp'))).toEqual([])
    expect(await runHook(here, { ...BUILT_HELLO, ...STRICT }, shell)).toMatchObject({ exitCode: 1 })
    expect(readdirSync(join(here.spool, 'new'))).toHaveLength(2)
  })

  test('is queued all the same where NIX_UPLOAD_GCROOTS is relative', async () => {
    const here = bed()
    const result = await runHook(here, { ...BUILT_HELLO, NIX_UPLOAD_GCROOTS: 'gcroots' }, shell)
    expect(theLine(result)).toMatch(/, but .*: NIX_UPLOAD_GCROOTS is not absolute: gcroots$/)
  })

  test('is queued with the roots that could be made, where one fails', async () => {
    const here = bed()
    fake(here, 'ln', `case "$*" in *-doc*) echo "ln: no such luck" >&2; exit 1;; esac; exec /usr/bin/ln "$@"`)
    const result = await runHook(here, { OUT_PATHS: `${HELLO_DOC} ${HELLO}`, DRV_PATH: HELLO_DRV }, shell)
    expect(theLine(result)).toMatch(/, but .*: ln: no such luck$/)
    expect(Object.values(left(here).roots)).toEqual([HELLO])
  })
})

describe('what is planted at a root’s name is not followed', () => {
  test.each([
    { what: 'a directory', plant: 'mkdir "$victim"; mkdir "$link"' },
    { what: 'a symlink to a directory', plant: 'mkdir "$victim"; /usr/bin/ln -s "$victim" "$link"' },
    { what: 'a dangling symlink', plant: '/usr/bin/ln -s "$victim" "$link"' },
    { what: 'a file', plant: 'mkdir "$victim"; : >"$link"' },
    { what: 'a FIFO', plant: 'mkdir "$victim"; mkfifo "$link"' },
  ])('$what', async ({ plant }) => {
    const here = bed()
    const victim = join(here.dir, 'victim')
    // Nobody can guess that name: only a tool that is told it can be in time.
    const script = `for link do :; done; victim=${victim}; [ -e "$link" ] || { ${plant}; } 2>/dev/null`
    fake(here, 'ln', `${script}; exec /usr/bin/ln "$@"`)
    const result = await runHook(here)
    expect(theLine(result)).toMatch(
      /, but its paths are not protected from garbage collection: .*ln: .*: File exists$/,
    )
    expect(readdirSync(here.gcroots)).toHaveLength(1)
    expect(existsSync(victim) ? readdirSync(victim) : []).toEqual([])
  })
})

test('who may not write among the roots is told why', async () => {
  const here = bed()
  chmodSync(join(here.spool, 'tmp'), 0o777)
  chmodSync(join(here.spool, 'new'), 0o777)
  chmodSync(here.gcroots, 0o555)
  const line = theLine(await runUnprivileged(here))
  expect(line).toMatch(
    /, but its paths are not protected from garbage collection: ln: .*: Permission denied$/,
  )
  expect(left(here).new).toHaveLength(1)
})
