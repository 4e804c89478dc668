import { statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import {
  BUILT_HELLO,
  bed,
  built,
  fake,
  HELLO,
  HELLO_DOC,
  HELLO_DRV,
  JOB_OF_HELLO,
  left,
  runHook,
  runScript,
  SHELLS,
  theJob,
  theLine,
} from './bed.ts'

test('the hook is tried with dash, and with every other shell that is here', () => {
  expect(SHELLS.map(({ name }) => name)).toContain('dash')
})

describe.each(SHELLS)('with $name, a build', (shell) => {
  test('becomes one line of JSON in new/', async () => {
    const here = bed()
    const before = Math.floor(Date.now() / 1000)
    const { exitCode } = await runHook(here, BUILT_HELLO, shell)
    expect(exitCode).toBe(0)
    const { text } = theJob(here)
    const { queuedAt } = JSON.parse(text)
    expect(text).toBe(
      `{"version":1,"drvPath":"${HELLO_DRV}","outPaths":["${HELLO}"],"queuedAt":"${queuedAt}"}\n`,
    )
    expect(queuedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(Date.parse(queuedAt) / 1000).toBeGreaterThanOrEqual(before)
    expect(Date.parse(queuedAt)).toBeLessThanOrEqual(Date.now())
  })

  test('has a name of its time in UTC, of something unique and of what was built', async () => {
    const here = bed()
    await runHook(here, { ...BUILT_HELLO, TZ: 'Asia/Tokyo' }, shell)
    const { name, text } = theJob(here)
    expect(name).toMatch(JOB_OF_HELLO)
    expect(name.split('-')[0]).toBe(JSON.parse(text).queuedAt.replaceAll(/[-:]/g, ''))
  })

  test('is announced in one line, and nothing else is said', async () => {
    const here = bed()
    const result = await runHook(here, BUILT_HELLO, shell)
    expect(result).toEqual({ stdout: `nix-upload: queued ${theJob(here).name}`, stderr: '', exitCode: 0 })
  })

  test('is rooted under the name of its job, and leaves nothing in tmp/', async () => {
    const here = bed()
    await runHook(here, BUILT_HELLO, shell)
    const { name } = theJob(here)
    expect(left(here)).toEqual({
      tmp: [],
      new: [name],
      roots: { [`${rootKey(name)}.${'1'.repeat(32)}`]: HELLO },
    })
  })

  test('may have several outputs, in their order and each once', async () => {
    const here = bed()
    await runHook(here, { DRV_PATH: HELLO_DRV, OUT_PATHS: `${HELLO_DOC} ${HELLO}  ${HELLO_DOC}` }, shell)
    const { name, text } = theJob(here)
    expect(JSON.parse(text).outPaths).toEqual([HELLO_DOC, HELLO])
    expect(left(here).roots).toEqual({
      [`${rootKey(name)}.${'1'.repeat(32)}`]: HELLO,
      [`${rootKey(name)}.${'2'.repeat(32)}`]: HELLO_DOC,
    })
  })

  test('may come without a derivation: the key is left out, and the first output gives the name', async () => {
    const here = bed()
    await runHook(here, { OUT_PATHS: `${HELLO} ${HELLO_DOC}` }, shell)
    const { name, text } = theJob(here)
    expect(name).toMatch(JOB_OF_HELLO)
    expect(text).toMatch(/^\{"version":1,"outPaths":\["[^"]+","[^"]+"\],"queuedAt":"[^"]+"\}\n$/)
  })

  test('may have a name with every character that Nix allows', async () => {
    const here = bed()
    const name = 'gtk+-3.0_a?b=c'
    await runHook(here, { OUT_PATHS: built(`${'z'.repeat(32)}-${name}`) }, shell)
    expect(theJob(here).name.slice('20261122T031402Z-1b4e28ba2fa1-'.length)).toBe(`${name}.json`)
  })

  test('may have the longest name that Nix allows: the job has the first 120 characters of it', async () => {
    const here = bed()
    const long = 'x'.repeat(211)
    await runHook(here, { OUT_PATHS: built(`${'1'.repeat(32)}-${long}`) }, shell)
    const { name } = theJob(here)
    expect(name.slice('20261122T031402Z-1b4e28ba2fa1-'.length)).toBe(`${'x'.repeat(120)}.json`)
    expect(Object.keys(left(here).roots)).toEqual([`${rootKey(name)}.${'1'.repeat(32)}`])
  })

  test('may be a symlink that leads nowhere', async () => {
    const here = bed()
    const path = join(here.dir, `${'1'.repeat(32)}-hello`)
    symlinkSync('/nowhere', path)
    await runHook(here, { OUT_PATHS: path }, shell)
    expect(JSON.parse(theJob(here).text).outPaths).toEqual([path])
  })

  test("finds its way in the environment that Nix gives it, with Nix's settings as variables", async () => {
    const here = bed()
    const names = [
      'cores',
      'store',
      'system',
      'sandbox',
      'name',
      'path',
      'paths',
      'hash',
      'json',
      'built',
      'job',
    ]
    const others = [
      'tmp',
      'uuid',
      'id',
      'now',
      'drv',
      'outs',
      'spool',
      'roots',
      'rooted',
      'unprotected',
      'why',
    ]
    const more = [
      'line',
      'lns',
      'strict',
      'failed',
      'moved',
      'answer',
      'search',
      'dir',
      'base',
      'IFS',
      'CDPATH',
    ]
    const poison = Object.fromEntries([...names, ...others, ...more].map((name) => [name, '/etc/passwd 1']))
    const { exitCode } = await runHook(here, { ...poison, ...BUILT_HELLO }, shell)
    expect(exitCode).toBe(0)
    const { name, text } = theJob(here)
    expect(name).toMatch(JOB_OF_HELLO)
    expect(JSON.parse(text)).toMatchObject({ drvPath: HELLO_DRV, outPaths: [HELLO] })
    expect(left(here)).toEqual({
      tmp: [],
      new: [name],
      roots: { [`${rootKey(name)}.${'1'.repeat(32)}`]: HELLO },
    })
  })

  test('is queued without a PATH', async () => {
    const here = bed()
    await runHook(here, { ...BUILT_HELLO, PATH: undefined }, shell)
    expect(theJob(here).name).toMatch(JOB_OF_HELLO)
  })

  test.each(['', ':/usr/bin', '/usr/bin:', '.:/usr/bin', 'tmp:/usr/bin'])(
    'runs nothing from the working directory for a PATH of "%s"',
    async (PATH) => {
      const here = bed()
      // A less privileged owner of the spool might put this there.
      fake({ ...here, bin: join(here.spool, 'tmp') }, 'date', 'echo gotcha')
      await runHook(here, { ...BUILT_HELLO, PATH }, shell)
      expect(theJob(here).name).toMatch(JOB_OF_HELLO)
    },
  )

  test('is readable for the daemon, whatever the umask', async () => {
    const here = bed()
    await runScript(here, `umask 077; ${[shell.command, ...shell.args, '"$HOOK"'].join(' ')}`)
    expect(statSync(join(here.spool, 'new', theJob(here).name)).mode & 0o777).toBe(0o644)
  })

  test('may be queued in a spool that is reached over a symlink, and has blanks in its name', async () => {
    const here = bed()
    await runScript(here, `mv "${here.spool}" "${here.dir}/a b"; ln -s "a b" "${here.spool}"`)
    await runHook(here, BUILT_HELLO, shell)
    expect(theJob(here).name).toMatch(JOB_OF_HELLO)
    await runHook(here, { ...BUILT_HELLO, NIX_UPLOAD_SPOOL: `${here.dir}/a b/` }, shell)
    expect(left(here).new).toHaveLength(2)
  })

  test('is queued with stdin, stdout or stderr closed, and exits 0', async () => {
    const here = bed()
    const hook = [shell.command, ...shell.args, '"$HOOK"'].join(' ')
    for (const closed of ['<&-', '>&-', '2>&-', '<&- >&- 2>&-']) {
      expect((await runScript(here, `${hook} ${closed}`)).exitCode).toBe(0)
    }
    expect(left(here).new).toHaveLength(4)
    expect(left(here).tmp).toEqual([])
  })

  test('is queued where nobody reads what is said, and exits 0', async () => {
    const here = bed()
    const hook = [shell.command, ...shell.args, '"$HOOK"'].join(' ')
    const script = `mkfifo "${here.dir}/pipe"
      exec 3<>"${here.dir}/pipe" 5>"${here.dir}/pipe" 3<&-
      ${hook} >&5`
    expect(await runScript(here, script)).toMatchObject({ exitCode: 0 })
    expect(left(here).new).toHaveLength(1)
  })
})

test('50 hooks at once make 50 whole jobs, each with its root', async () => {
  const here = bed()
  const results = await Promise.all(Array.from({ length: 50 }, () => runHook(here)))
  expect(results.every(({ exitCode }) => exitCode === 0)).toBe(true)
  const { tmp, new: jobs, roots } = left(here)
  expect(tmp).toEqual([])
  expect(jobs).toHaveLength(50)
  expect(results.map(theLine).sort()).toEqual(jobs.map((name) => `nix-upload: queued ${name}`))
  expect(Object.keys(roots)).toEqual(jobs.map((name) => `${rootKey(name)}.${'1'.repeat(32)}`).sort())
})
