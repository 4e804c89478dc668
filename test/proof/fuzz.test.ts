// What comes from outside is read by parsers that must hold whatever comes: a complaint for a person or a value that is
// harmless in all that follows, never a crash, never something that a program takes for an option, nothing that a
// terminal obeys.
//
// A few seconds with fixed seeds; ten minutes with PROOF=1, or FUZZ_MINUTES=…; SEED=… for one that was printed.

import { writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import fc from 'fast-check'
import { stringify } from 'smol-toml'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { checkFile } from '../../src/config/schema.ts'
import { storeUrlProblem, withoutPassword, withParameters } from '../../src/config/store-url.ts'
import { judge } from '../../src/nix/blame.ts'
import { messagesOf } from '../../src/nix/messages.ts'
import { hashOf, splitStorePath } from '../../src/nix/store-path.ts'
import { isSettled, startAfresh } from '../../src/spool/job.ts'
import { formatJob, MAX_JOB_BYTES, NotAJobError, parseJob } from '../../src/spool/job-file.ts'
import { spoolAt } from '../../src/spool/layout.ts'
import { readReport } from '../../src/spool/report.ts'
import { parseDuration } from '../../src/util/duration.ts'
import { parseSize } from '../../src/util/size.ts'
import { EXIT, UserError } from '../../src/util/user-error.ts'
import { type Bed, bed, built, STORE as HOOK_STORE, left, NOTHING, runHook, theJob } from '../hook/bed.ts'
import { STORE, storePath, tempDir } from '../spool/temp-spool.ts'
import { goodPaths, jobs, NAMES, paths, spoilt, TOML, urls } from './fuzz-input.ts'
import { evidence, IS_WHOLE } from './share.ts'

const MINUTES = Number(process.env.FUZZ_MINUTES ?? (IS_WHOLE ? 10 : 1 / 15))
const SEED = Number(process.env.SEED ?? (IS_WHOLE ? Date.now() % 1e9 : 20261122))
const PROPERTIES = 9
const BATCH = 50
const TIMEOUT = { timeout: MINUTES * 60_000 + 120_000 }

/** Neither control nor format characters nor separators of lines: one line, and no terminal obeys it. */
const PRINTABLE = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u

/** Tries a property again and again for its share of the time. */
async function fuzz<T>(
  name: string,
  input: fc.Arbitrary<T>,
  holds: (value: T) => void | Promise<void>,
  runs = BATCH,
): Promise<void> {
  const end = performance.now() + (MINUTES * 60_000) / PROPERTIES
  let count = 0
  for (let seed = SEED; count === 0 || performance.now() < end; seed++) {
    try {
      await fc.assert(
        fc.asyncProperty(input, async (value) => holds(value)),
        { seed, numRuns: runs },
      )
    } catch (error) {
      evidence(`fuzzing ${name}: SEED=${seed} finds a counterexample`)
      throw error
    }
    count += runs
  }
  evidence(`fuzzing ${name}: ${count} inputs from seed ${SEED} on`)
}

/** What was thrown; anything but a complaint of that kind is a crash. */
function complaint(kind: typeof NotAJobError | typeof UserError, act: () => void): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof kind) return error.message
    throw error
  }
}

test('a job file', TIMEOUT, async () => {
  const text = fc.oneof(
    { weight: 4, arbitrary: jobs.map((job) => JSON.stringify(job)) },
    { weight: 2, arbitrary: spoilt(jobs.map((job) => JSON.stringify(job))) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  )
  const bytes = fc.oneof(
    { weight: 8, arbitrary: text.map((whole) => Buffer.from(whole)) },
    { weight: 1, arbitrary: fc.uint8Array().map((whole) => Buffer.from(whole)) },
  )
  await fuzz('job files', bytes, (content) => {
    const refusal = complaint(NotAJobError, () => parseJob(content, STORE))
    if (refusal !== undefined) {
      expect(refusal).toMatch(PRINTABLE)
      return
    }
    const job = parseJob(content, STORE)
    for (const path of [...job.outPaths, ...(job.drvPath === undefined ? [] : [job.drvPath])]) {
      expect(path).toMatch(/^\/nix\/store\/[0-9a-z]{32}-[0-9a-zA-Z+\-._?=]+$/)
    }
    const written = formatJob(job)
    expect(written.length).toBeLessThanOrEqual(MAX_JOB_BYTES)
    for (const line of written.split('\n')) expect(line).toMatch(PRINTABLE)
    const again = parseJob(Buffer.from(written), STORE)
    expect({ ...again, raw: undefined }).toEqual({ ...job, history: job.history.slice(-20), raw: undefined })
    expect(again.raw.mine).toEqual(job.raw.mine)
    expect(formatJob(again)).toBe(written)
    const afresh = startAfresh(job, new Date(0))
    if (isSettled(job)) expect(isSettled(afresh) && Object.keys(afresh.destinations).length === 0).toBe(false)
    expect(complaint(NotAJobError, () => parseJob(Buffer.from(formatJob(afresh)), STORE))).toBeUndefined()
  })
})

test('a configuration file, as text', TIMEOUT, async () => {
  const config = join(tempDir(), 'config.toml')
  await fuzz('configurations', spoilt(fc.constant(TOML), 6), async (toml) => {
    writeFileSync(config, toml)
    const error: unknown = await loadConfig({ config }, {}).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (error === undefined) return
    if (!(error instanceof UserError)) throw error
    expect(error.exitCode).toBe(EXIT.badConfig)
    for (const line of error.message.split('\n')) expect(line).toMatch(PRINTABLE)
  })
})

test('a configuration, as values', TIMEOUT, async () => {
  const SECRET = 'bm90IGEga2V5'
  const value = fc.oneof(
    fc.jsonValue(),
    ...[
      spoilt(urls),
      fc.constantFrom('1d', '5s', '2GiB', 7, 0, -1, true),
      fc.array(fc.string(), { maxLength: 2 }),
    ],
  )
  const secret = spoilt(fc.constantFrom('/etc/key', 'credential:x')).map((text) => text + SECRET)
  const keys = [
    'name',
    'to',
    'command',
    'paths',
    'include',
    'exclude',
    'max-size',
    'closure',
    'batch-size',
    'retry-min',
  ]
  const section = fc.record(
    {
      ...Object.fromEntries(keys.map((key) => [key, value])),
      'secret-key-file': secret,
      'netrc-file': secret,
    },
    { requiredKeys: [] },
  )
  const top = [
    'spool',
    'gcroots',
    'rescan-interval',
    'stop-grace',
    'keep-done',
    'keep-done-count',
    'log-level',
    'odd',
  ]
  const file = fc.record(
    {
      ...Object.fromEntries(top.map((key) => [key, value])),
      destination: fc.oneof(
        fc.array(section, { maxLength: 3 }),
        fc.dictionary(fc.string(), value, { maxKeys: 3 }),
      ),
    },
    { requiredKeys: [] },
  )
  await fuzz('values of configurations', file, (given) => {
    const checked = checkFile(given)
    if ('problems' in checked) {
      expect(checked.problems.length).toBeGreaterThan(0)
      for (const problem of checked.problems) {
        expect(problem).toMatch(PRINTABLE)
        expect(problem).not.toContain(SECRET)
      }
      return
    }
    for (const { to, command, name } of checked.file.destination ?? []) {
      if (to !== undefined) expect(to).toMatch(/^[a-z]/)
      if (command !== undefined) expect(command.join('')).not.toContain('\0')
      if (name !== undefined) expect(name).toMatch(/^[A-Za-z0-9][\w.-]*$/)
    }
    expect(() => stringify(given)).not.toThrow(RangeError)
  })
})

test('a store URL', TIMEOUT, async () => {
  await fuzz('store URLs', spoilt(urls), (url) => {
    const problem = storeUrlProblem(url)
    expect(problem ?? '').toMatch(PRINTABLE)
    if (problem !== undefined) return
    expect(url).toMatch(/^[a-z][^\s\p{Cc}]*$/u)
    expect(url).not.toMatch(/^[^:]*:\/\/([^/?#]*@)?-/)
    const signed = withParameters(url, { compression: 'zstd', 'secret-key': '/etc/my key&x=y' })
    expect(storeUrlProblem(signed)).toBeUndefined()
    expect(signed.startsWith(url.split('?')[0] ?? '')).toBe(true)
    expect(withParameters(signed, { compression: 'none' })).toBe(signed)
  })
})

test('a password in a URL', TIMEOUT, async () => {
  // What looks like a port is taken for one.
  const password = fc
    .string({ minLength: 6, unit: 'grapheme-ascii' })
    .filter((text) => /^(?!\d*[/?#'"])\S+$/.test(text))
  await fuzz('passwords', fc.tuple(fc.constantFrom('http', 'https'), password), ([scheme, secret]) => {
    const url = `${scheme}://me:${secret}@cache.example/x`
    expect(storeUrlProblem(url)).toContain('a password in the URL could be read by every local user')
    expect(withoutPassword(`can't open '${url}': refused`)).not.toContain(secret)
    expect(judge([`unable to download '${url}': HTTP error 500`]).message).not.toContain(secret)
  })
})

test('durations and sizes', TIMEOUT, async () => {
  const text = spoilt(
    fc
      .tuple(fc.double({ min: 0 }), fc.constantFrom('ms', 's', 'd', 'GiB', 'K', ''))
      .map((all) => all.join('')),
  )
  await fuzz('durations and sizes', fc.oneof(text, fc.double(), fc.jsonValue()), (value) => {
    for (const parse of [parseDuration, parseSize]) {
      const result = parse(value)
      if (result !== undefined) expect(Number.isFinite(result) && result >= 0).toBe(true)
    }
  })
})

test('what Nix says', TIMEOUT, async () => {
  const said = fc.constantFrom(
    "error: path '/nix/store/x' is not valid",
    "error: unable to upload 'http://me:hunter2@x/y?z': HTTP error 500",
    "error: path '/nix/store/00000000000000000000000000000000-x' is required, but there is no substituter",
    'a'.repeat(2000),
  )
  const line = fc.oneof(
    spoilt(said),
    spoilt(said).map((msg) => `@nix ${JSON.stringify({ action: 'msg', level: 0, msg })}`),
    spoilt(said.map((msg) => `@nix ${JSON.stringify({ action: 'msg', level: 0, msg, raw_msg: msg })}`)),
    fc.jsonValue().map((value) => `@nix ${JSON.stringify(value)} "action":"msg"`),
  )
  await fuzz('messages of Nix', fc.array(line, { maxLength: 5 }), (lines) => {
    const messages = messagesOf(lines)
    for (const message of messages) expect(message).toMatch(PRINTABLE)
    const { message, blame } = judge(messages)
    expect(message).toMatch(PRINTABLE)
    expect(message.length).toBeLessThanOrEqual(600)
    expect(['job', 'destination', 'unknown']).toContain(blame)
  })
})

test('what the hook is given', TIMEOUT, async () => {
  const outputs = fc.oneof(
    fc.array(paths, { maxLength: 3 }).map((all) => all.join(' ')),
    spoilt(goodPaths),
  )
  const derivations = fc.oneof(
    fc.constant(''),
    paths.map((path) => `${path}.drv`),
  )
  for (const path of NAMES.map(storePath)) {
    built(basename(path))
    built(`${basename(path)}.drv`)
  }
  const inStore = (text: string) => text.replaceAll(STORE, HOOK_STORE)
  const given = fc.record({ OUT_PATHS: outputs.map(inStore), DRV_PATH: derivations.map(inStore) })
  const isText = ({ OUT_PATHS, DRV_PATH }: { OUT_PATHS: string; DRV_PATH: string }) =>
    !`${OUT_PATHS}${DRV_PATH}`.includes('\0')
  await fuzz(
    'inputs of the hook',
    given.filter(isText),
    async (env) => {
      const here: Bed = bed()
      const { stdout, stderr, exitCode } = await runHook(here, env)
      expect(exitCode).toBe(0)
      expect(`${stdout}\n${stderr}`.trim()).toMatch(/^nix-upload: [ -~]*$/)
      if (!stdout.startsWith('nix-upload: queued')) {
        expect(left(here)).toEqual(NOTHING)
        return
      }
      const job = JSON.parse(theJob(here).text)
      const named: string[] = [...job.outPaths, ...(job.drvPath ? [job.drvPath] : [])]
      for (const path of named) {
        expect(`${env.OUT_PATHS} ${env.DRV_PATH}`.split(' ')).toContain(path)
        expect(splitStorePath(path, dirname(path))).toBeDefined()
      }
      const rooted: string[] = job.outPaths.length > 0 ? job.outPaths : named
      const roots = Object.values(left(here).roots)
      expect(rooted).toEqual(expect.arrayContaining(roots))
      // Roots are named after hashes: of two paths that differ in the store's directory alone one has a root, and no
      // machine has both.
      const hashesOf = (all: readonly string[]) => [...new Set(all.map((path) => hashOf(path)))].sort()
      expect(hashesOf(roots)).toEqual(hashesOf(rooted))
    },
    5,
  )
})

test("a daemon's report", TIMEOUT, async () => {
  const spool = spoolAt(tempDir())
  const report = fc.oneof(
    spoilt(
      fc
        .record({ pid: fc.constant(1), destinations: fc.dictionary(fc.string(), fc.jsonValue()) })
        .map((value) => JSON.stringify(value)),
    ),
    fc
      .record({ pid: fc.integer(), identity: fc.jsonValue(), destinations: fc.jsonValue() })
      .map((value) => JSON.stringify(value)),
  )
  await fuzz('reports', report, (text) => {
    writeFileSync(spool.reportFile, text)
    const { destinations = {} } = readReport(spool) ?? {}
    for (const { state } of Object.values(destinations)) expect(['ok', 'down', 'unknown']).toContain(state)
  })
})
