import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/run.ts'
import {
  type Bed,
  BUILT_HELLO,
  bed,
  type Environment,
  fake,
  HELLO,
  HELLO_DRV,
  left,
  NOTHING,
  runHook,
  runUnprivileged,
  SHELLS,
  theLine,
} from './bed.ts'

const HASH = '1'.repeat(32)

describe.each(SHELLS)('with $name, what is no store path is not queued', (shell) => {
  test.each([
    { what: 'a relative path', path: `nix/store/${HASH}-hello` },
    { what: 'an option', path: '-rf' },
    { what: 'an option before a store path', path: `--delete=${HELLO}` },
    { what: 'a quote', path: `/nix/store/${HASH}-he"llo` },
    { what: 'a quote in the store directory', path: `/ni"x/store/${HASH}-hello` },
    { what: 'a backslash', path: `/nix/store/${HASH}-he\\llo` },
    { what: 'a backslash in the store directory', path: `/ni\\x/store/${HASH}-hello` },
    { what: 'a new line', path: `/nix/store/${HASH}-hello\n${HELLO}` },
    { what: 'a tab', path: `/nix/store/${HASH}-hello\tworld` },
    { what: 'a control character', path: `/nix/store/${HASH}-hello\u0001` },
    { what: 'an escape sequence in the store directory', path: `/nix\u001b[31m/store/${HASH}-hello` },
    { what: 'DEL', path: `/nix/store/${HASH}-hello\u007f` },
    { what: 'something that is not ASCII', path: `/nix/störe/${HASH}-hello` },
    { what: 'a hash that is too short', path: `/nix/store/${HASH.slice(1)}-hello` },
    { what: 'a hash that is too long', path: `/nix/store/${HASH}1-hello` },
    { what: 'a hash with a letter that base 32 has not', path: `/nix/store/${HASH.slice(1)}e-hello` },
    { what: 'a hash with a capital letter', path: `/nix/store/${HASH.slice(1)}A-hello` },
    { what: 'a hash with a dash in it', path: `/nix/store/${HASH.slice(2)}-1-hello` },
    { what: 'no name', path: `/nix/store/${HASH}-` },
    { what: 'no name and no dash', path: `/nix/store/${HASH}` },
    { what: 'a name that is too long', path: `/nix/store/${HASH}-${'x'.repeat(212)}` },
    { what: 'a file in a store path', path: `${HELLO}/bin/hello` },
    { what: 'a slash at its end', path: `${HELLO}/` },
    { what: 'a way back out of the store', path: `/nix/store/../../etc/${HASH}-hello` },
    { what: 'two slashes', path: `/nix//store/${HASH}-hello` },
    { what: 'glob characters', path: '/nix/store/*' },
    { what: 'a glob character in the name', path: `/nix/store/${HASH}-hello*` },
    { what: 'a command in the name', path: `/nix/store/${HASH}-$(reboot)` },
    { what: 'a semicolon in the name', path: `/nix/store/${HASH}-hello;reboot` },
  ])('$what', async ({ path }) => {
    for (const variable of ['OUT_PATHS', 'DRV_PATH']) {
      const here = bed()
      const built = { ...BUILT_HELLO, [variable]: path }
      const result = await runHook(here, built, shell)
      expect(result).toMatchObject({ stdout: '', exitCode: 0 })
      expect(theLine(result)).toMatch(new RegExp(`^nix-upload: not queued: .*: (in )?${variable},? `))
      expect(theLine(result)).toMatch(/^[ -~]*$/)
      expect(await runHook(here, { ...built, NIX_UPLOAD_STRICT: '1' }, shell)).toMatchObject({ exitCode: 1 })
      expect(left(here)).toEqual(NOTHING)
    }
  })

  test('a glob that would match a store path', async () => {
    const here = bed()
    mkdirSync(join(here.dir, `${HASH}-hello`))
    const result = await runHook(here, { OUT_PATHS: `${here.dir}/*-hello` }, shell)
    expect(theLine(result)).toMatch(/^nix-upload: not queued: .* is not a store path$/)
    expect(left(here)).toEqual(NOTHING)
  })

  test('one bad output among good ones', async () => {
    const here = bed()
    const result = await runHook(here, { ...BUILT_HELLO, OUT_PATHS: `${HELLO} oops` }, shell)
    expect(theLine(result)).toBe(`nix-upload: not queued: ${HELLO_DRV}: in OUT_PATHS, oops is not absolute`)
    expect(left(here)).toEqual(NOTHING)
  })

  test.each<Environment>([{}, { DRV_PATH: '', OUT_PATHS: '' }, { OUT_PATHS: '  ' }])(
    'nothing at all: %o',
    async (env) => {
      const here = bed()
      const result = await runHook(here, env, shell)
      expect(theLine(result)).toMatch(
        /^nix-upload: not queued: .*: neither DRV_PATH nor OUT_PATHS is set, as Nix sets them/,
      )
      expect(result.exitCode).toBe(0)
      expect(await runHook(here, { ...env, NIX_UPLOAD_STRICT: '1' }, shell)).toMatchObject({ exitCode: 1 })
    },
  )
})

describe.each(SHELLS)('with $name, nothing is queued where', (shell) => {
  test.each<{ what: string; prepare: (here: Bed) => void; why: (here: Bed) => string }>([
    {
      what: 'there is no spool',
      prepare: ({ spool }) => rmSync(spool, { recursive: true }),
      why: ({ spool }) => `there is no ${spool}; 'nix-upload init' makes it, and so do 'watch' and 'enqueue'`,
    },
    {
      what: 'the spool has no tmp/',
      prepare: ({ spool }) => rmSync(join(spool, 'tmp'), { recursive: true }),
      why: ({ spool }) =>
        `there is no ${spool}/tmp; 'nix-upload init' makes it, and so do 'watch' and 'enqueue'`,
    },
    {
      what: 'the spool has no new/',
      prepare: ({ spool }) => rmSync(join(spool, 'new'), { recursive: true }),
      why: ({ spool }) =>
        `there is no ${spool}/new; 'nix-upload init' makes it, and so do 'watch' and 'enqueue'`,
    },
    ...['', 'tmp', 'new'].flatMap((name) => [
      {
        what: `a file lies in the place of ${name || 'the spool'}`,
        prepare: ({ spool }: Bed) => {
          rmSync(join(spool, name), { recursive: true })
          writeFileSync(join(spool, name), '')
        },
        why: ({ spool }: Bed) => `${join(spool, name)} is not a directory that can be entered`,
      },
    ]),
    ...['tmp', 'new'].map((name) => ({
      what: `${name}/ is a symlink`,
      prepare: ({ dir, spool }: Bed) => {
        renameSync(join(spool, name), join(dir, 'victim'))
        symlinkSync('../victim', join(spool, name))
      },
      why: ({ spool }: Bed) => `${join(spool, name)} is a symlink`,
    })),
    {
      what: 'date fails',
      prepare: (here) => fake(here, 'date', 'echo "date: no idea" >&2; exit 1'),
      why: () => 'date does not work: date: no idea',
    },
    {
      what: 'mv fails',
      prepare: (here) => fake(here, 'mv', 'echo "mv: no such luck" >&2; exit 1'),
      why: ({ spool }) => `cannot rename it into ${spool}/new: mv: no such luck`,
    },
    {
      what: 'the name is taken in new/',
      prepare: (here) => fake(here, 'mv', 'for new do :; done; echo old >>"$new"; exec /usr/bin/mv "$@"'),
      why: ({ spool }) => `cannot rename it into ${spool}/new: that name is taken`,
    },
  ])('$what, and the line says so', async ({ what, prepare, why }) => {
    const here = bed()
    prepare(here)
    const result = await runHook(here, BUILT_HELLO, shell)
    expect(result).toMatchObject({ stdout: '', exitCode: 0 })
    expect(theLine(result)).toBe(`nix-upload: not queued: ${HELLO_DRV}: ${why(here)}`)
    expect(await runHook(here, { ...BUILT_HELLO, NIX_UPLOAD_STRICT: '1' }, shell)).toMatchObject({
      exitCode: 1,
    })
    // Nothing stays: no temporary file, no root.
    expect(readdirSync(here.gcroots)).toEqual([])
    for (const dir of [join(here.spool, 'tmp'), join(here.dir, 'victim')]) {
      expect(listed(dir)).toEqual([])
    }
    if (!what.includes('taken')) expect(listed(join(here.spool, 'new'))).toEqual([])
  })

  test('NIX_UPLOAD_SPOOL is relative', async () => {
    const here = bed()
    const result = await runHook(here, { ...BUILT_HELLO, NIX_UPLOAD_SPOOL: 'spool' }, shell)
    expect(theLine(result)).toBe(
      `nix-upload: not queued: ${HELLO_DRV}: NIX_UPLOAD_SPOOL is not absolute: spool`,
    )
  })

  test('the outputs are all that is known of the build: the line names them', async () => {
    const here = bed()
    rmSync(here.spool, { recursive: true })
    expect(theLine(await runHook(here, { OUT_PATHS: HELLO }, shell))).toMatch(
      new RegExp(`^nix-upload: not queued: ${HELLO}: there is no `),
    )
  })
})

describe('a FIFO holds nothing up', () => {
  test.each(['spool', 'spool/tmp', 'spool/new', 'gcroots'])('in the place of %s', async (name) => {
    const here = bed()
    rmSync(join(here.dir, name), { recursive: true })
    await runProgram('/usr/bin/mkfifo', [join(here.dir, name)], {})
    const result = await runHook(here)
    expect(result.exitCode).toBe(0)
    expect(theLine(result)).toMatch(/not a directory|no directory/)
  })

  test('in the place of the temporary file', async () => {
    const here = bed()
    // Nobody can guess that name: only a tool that is told it can be in time.
    fake(here, 'sync', 'for file in *; do rm "$file"; mkfifo "$file"; done; exec /usr/bin/sync "$@"')
    expect(theLine(await runHook(here))).toMatch(/^nix-upload: queued /)
  })
})

describe('the owner of the spool gains nothing by exchanging', () => {
  const swap = (name: string) =>
    `[ -h "$NIX_UPLOAD_SPOOL/${name}" ] || {
      mv "$NIX_UPLOAD_SPOOL/${name}" "$NIX_UPLOAD_SPOOL/${name}.old"
      ln -s ../victim "$NIX_UPLOAD_SPOOL/${name}"
    }`

  test('tmp/ for a symlink, while the hook is in it', async () => {
    const here = bed()
    mkdirSync(join(here.dir, 'victim'))
    fake(here, 'date', `PATH=/usr/bin; ${swap('tmp')}; exec date "$@"`)
    expect(theLine(await runHook(here))).toMatch(/^nix-upload: queued /)
    expect(listed(join(here.dir, 'victim'))).toEqual([])
    expect(listed(join(here.spool, 'new'))).toHaveLength(1)
  })

  test('new/ for a symlink, before the hook is in it', async () => {
    const here = bed()
    mkdirSync(join(here.dir, 'victim'))
    fake(here, 'sync', `PATH=/usr/bin; ${swap('new')}; exec sync "$@"`)
    expect(theLine(await runHook(here))).toMatch(/^nix-upload: not queued: .*\/new is a symlink$/)
    expect(listed(join(here.dir, 'victim'))).toEqual([])
  })

  test('new/ for a symlink, while the hook is in it', async () => {
    const here = bed()
    mkdirSync(join(here.dir, 'victim'))
    fake(here, 'mv', `PATH=/usr/bin; ${swap('new')}; exec mv "$@"`)
    expect(theLine(await runHook(here))).toMatch(/^nix-upload: queued /)
    expect(listed(join(here.dir, 'victim'))).toEqual([])
    expect(listed(join(here.spool, 'new.old'))).toHaveLength(1)
  })
})

test('who may not write in the spool is told why', async () => {
  const here = bed()
  chmodSync(here.gcroots, 0o777)
  for (const name of ['tmp', 'new']) {
    chmodSync(join(here.spool, name), 0o555)
    const result = await runUnprivileged(here)
    expect(result.exitCode).toBe(0)
    expect(theLine(result)).toMatch(/^nix-upload: not queued: .*(tmp|new).*: Permission denied$/)
    chmodSync(join(here.spool, name), 0o777)
  }
  expect(left(here)).toEqual(NOTHING)
})

function listed(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
