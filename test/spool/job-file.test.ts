import { describe, expect, test } from 'vitest'
import { ANY_STORE } from '../../src/nix/store-path.ts'
import { NotAJobError, parseJob } from '../../src/spool/job-file.ts'
import { STORE, storePath } from './temp-spool.ts'

const HELLO = storePath('hello')
const DRV = storePath('hello.drv')
const HASH = HELLO.slice(STORE.length + 1, STORE.length + 33)

const parse = (content: string | Buffer | object, storeDir = STORE) => {
  const isText = typeof content === 'string' || Buffer.isBuffer(content)
  return parseJob(Buffer.from(isText ? content : JSON.stringify(content)), storeDir)
}

/** What is wrong with it, in the words that stand in NAME.reason. */
function reasonOf(content: string | Buffer | object): string {
  try {
    parse(content)
  } catch (error) {
    if (!(error instanceof NotAJobError)) throw error
    // It is printed and logged: one short line, nothing for a terminal to obey.
    expect(error.message).not.toMatch(/\p{Cc}/u)
    expect(error.message.length).toBeLessThan(300)
    return error.message
  }
  throw new Error('it is a valid job')
}

describe('a job needs outPaths or drvPath; all else may be missing', () => {
  test.each([
    { what: 'outPaths', content: { outPaths: [HELLO] }, job: { outPaths: [HELLO] } },
    { what: 'drvPath', content: { drvPath: DRV }, job: { drvPath: DRV, outPaths: [] } },
    {
      what: 'empty outPaths (Nix 2.8)',
      content: { drvPath: DRV, outPaths: [] },
      job: { drvPath: DRV, outPaths: [] },
    },
    { what: 'both', content: { drvPath: DRV, outPaths: [HELLO] }, job: { drvPath: DRV, outPaths: [HELLO] } },
    { what: 'an empty drvPath', content: { drvPath: '', outPaths: [HELLO] }, job: { outPaths: [HELLO] } },
    { what: 'a path twice', content: { outPaths: [HELLO, HELLO] }, job: { outPaths: [HELLO] } },
    { what: 'the longest name', content: { outPaths: [storePath('n'.repeat(211))] }, job: {} },
    { what: 'every character of a name', content: { outPaths: [storePath('aZ09+-._?=')] }, job: {} },
  ])('$what', ({ content, job }) => {
    expect(parse(content)).toMatchObject({ destinations: {}, history: [], ...job })
  })

  test('in UTF-8, with a byte order mark as some editors write it, in any layout', () => {
    expect(parse(`\uFEFF{\r\n  "outPaths": [\t"${HELLO}" ]\n}\n\n`).outPaths).toEqual([HELLO])
  })

  test.each([undefined, null, 5, 'yesterday'])('queuedAt: %o is passed over', (queuedAt) => {
    expect(parse({ outPaths: [HELLO], queuedAt })).not.toHaveProperty('queuedAt')
  })

  test('its paths lie in the store directory that Nix has, wherever that is', () => {
    const outPaths = [HELLO.replace(STORE, '/mnt/my store')]
    expect(parse({ outPaths }, '/mnt/my store').outPaths).toEqual(outPaths)
    expect(parse({ outPaths }, ANY_STORE).outPaths).toEqual(outPaths)
  })
})

const NO_PATH = /^"outPaths"\[0\] should be a store path in \/nix\/store, and is /
const tooDeep = `{"outPaths":["${HELLO}"],"x":${'['.repeat(2000)}${']'.repeat(2000)}}`

describe('S6: what is no valid job, and why', () => {
  test.each<[what: string, content: string | Buffer | object, reason: RegExp]>([
    ['an empty file', '', /^the file is empty$/],
    ['white space', ' \n', /^it is not JSON: /],
    ['a truncated job', `{"outPaths":["${HELLO}"`, /^it is not JSON: /],
    ['text', HELLO, /^it is not JSON: /],
    ['two jobs', '{}\n{}', /^it is not JSON: /],
    ['NUL bytes, as a crash may leave', Buffer.alloc(100), /^it is not JSON: /],
    ['invalid UTF-8', Buffer.from('{"outPaths":"\xff"}', 'latin1'), /^it is not UTF-8 text$/],
    ['UTF-16', Buffer.from('\uFEFF{}', 'utf16le'), /^it is not UTF-8 text$/],
    ['an array', '[]', /^it should be a JSON object, and is \[\]$/],
    ['null', 'null', /^it should be a JSON object, and is null$/],
    ['a string', '"x"', /^it should be a JSON object, and is "x"$/],
    ['an empty object', {}, /^it names neither "outPaths" nor "drvPath"/],
    ['nothing to upload', { outPaths: [], drvPath: '' }, /^it names neither/],
    ['outPaths behind __proto__', `{"__proto__":{"outPaths":["${HELLO}"]}}`, /^it names neither/],
    ['version 2', { version: 2, outPaths: [HELLO] }, /^"version" is 2; .* version 1$/],
    ['version "1"', { version: '1', outPaths: [HELLO] }, /^"version" is "1"/],
    ['outPaths as a string', { outPaths: HELLO }, /^"outPaths" should be an array/],
    ['outPaths as an object', { outPaths: {} }, /^"outPaths" should be an array/],
    ['drvPath as an array', { drvPath: [DRV] }, /^"drvPath" should be a store path/],
    ['drvPath that is an output', { drvPath: HELLO }, /^"drvPath" is no derivation: /],
    ['a bad path behind a good one', { outPaths: [HELLO, 'x'] }, /^"outPaths"\[1\] .* and is "x"$/],
    ['nesting without end', '['.repeat(500_000), /nested too deeply|not JSON/],
    ['nesting that is too deep', tooDeep, /^it is nested too deeply$/],
  ])('%s', (_what, content, reason) => {
    expect(reasonOf(content)).toMatch(reason)
  })

  test.each<[what: string, path: unknown]>([
    ['a number', 1],
    ['null', null],
    ['an array', [HELLO]],
    ['an empty string', ''],
    ['a relative path', HELLO.slice(1)],
    ['an option', '--store'],
    ['an option with a path', `--store=${HELLO}`],
    ['another store', HELLO.replace('/nix', '/mnt')],
    ['a file in a store path', `${HELLO}/bin/hello`],
    ['a path that leads out of the store', `${STORE}/../${HELLO}`],
    ['a path with ..', `${STORE}/../store/${HELLO.slice(11)}`],
    ['a path with .', `${STORE}/./${HELLO.slice(11)}`],
    ['a double slash', `${STORE}/${HELLO.slice(10)}`],
    ['a trailing slash', `${HELLO}/`],
    ['the store itself', STORE],
    ['no name', `${STORE}/${HASH}-`],
    ['no dash', `${STORE}/${HASH}`],
    ['a hash with a letter that base 32 lacks', `${STORE}/e${HASH.slice(1)}-hello`],
    ['a hash in upper case', `${STORE}/${HASH.toUpperCase()}-hello`],
    ['a hash that is too short', `${STORE}/${HASH.slice(1)}-hello`],
    ['a hash that is too long', `${STORE}/0${HASH}-hello`],
    ['a name that is too long', storePath('n'.repeat(212))],
    ['a megabyte', storePath('n'.repeat(1 << 20))],
    ['a blank', `${HELLO} x`],
    ['a line break at the end', `${HELLO}\n`],
    ['a NUL byte', `${HELLO}\0`],
    ['a control character', `${HELLO}\u001b[2J`],
    ['a character of the shell', `${HELLO};id`],
    ['a letter of another alphabet', `${HELLO}é`],
  ])('a path that is %s', (_what, path) => {
    expect(reasonOf({ outPaths: [path] })).toMatch(NO_PATH)
  })
})
