// What becomes of a text that Nix's failure left; the texts themselves are in blame-texts.test.ts.

import { describe, expect, test } from 'vitest'
import { judge, verdictOf } from '../../src/nix/blame.ts'
import { RULES } from '../../src/nix/blame-rules.ts'
import { gone, NixFailure } from '../../src/nix/failure.ts'
import { IGNORES_HOOK, NO_S3 } from '../../src/nix/said.ts'

const LIB = '/nix/store/ql3skgg9xkklhnyr3wb8zz8i6vymhasz-lib'

describe('the message', () => {
  test('says what is wrong, then what Nix said of it', () => {
    const { message } = judge(['Host key verification failed.', "cannot connect to 'cache.example'"])
    expect(message).toBe(
      'the host key of the destination is unknown or has changed: put the right one into known_hosts of the user ' +
        "that runs this; Nix says: Host key verification failed.; cannot connect to 'cache.example'",
    )
  })

  test('has words even where Nix had none', () => {
    expect(judge([])).toMatchObject({ blame: 'unknown', permanent: false })
    expect(judge([]).message).toMatch(/killed for want of memory/)
    expect(judge(["warning: unknown setting 'token'"]).message).toMatch(/unknown setting 'token'/)
  })

  test('keeps what matters of a long text', () => {
    const statement = `executing SQLite statement '${'create table '.repeat(200)}'`
    const { message } = judge([`${statement}: database or disk is full (in '/tmp/x/binary-cache-v6.sqlite')`])
    expect(message.length).toBeLessThanOrEqual(500)
    expect(message).toContain('database or disk is full (in')
    expect(judge(['x'.repeat(2000)]).message).toHaveLength(500)
  })

  test.each([
    `'http://user:s3cr3t@cache:8080' does not appear to be a binary cache`,
    `'https://s3cr3t@cache' does not appear to be a binary cache`,
    `unable to download 'http://user:p@s3cr3t@cache/nix-cache-info': HTTP error 401`,
    `unable to upload 'https://cache/nar/x.nar?X-Amz-Signature=s3cr3t&x=y': HTTP error 403`,
    `don't know how to open Nix store 's3://bucket?secret=s3cr3t'`,
    `failed to connect to ssh://user:s3cr3t@host/`,
    `cannot open 'local?root=/x&token=s3cr3t'`,
  ])('hides the secret in %s', (text) => {
    const { message } = judge([text])
    expect(message).not.toContain('s3cr3t')
    expect(message).toContain('…')
  })

  test('keeps the user of an ssh URL', () => {
    expect(judge(["cannot open connection to remote store 'ssh-ng://nix@cache'"]).message).toContain(
      'nix@cache',
    )
  })

  test('has of a page of HTML its title, and of an error of S3 its code', () => {
    const html =
      '<html> <head><title>403 Forbidden</title></head> <body> <h1>403 Forbidden</h1> </body> </html>'
    expect(judge([`unable to upload 'http://c/x': HTTP error 403 response body: ${html}`]).message).toMatch(
      /HTTP error 403 \(403 Forbidden\)$/,
    )
    const xml =
      '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
    expect(judge([`unable to upload 'http://c/x': HTTP error 403 response body: ${xml}`]).message).toMatch(
      /HTTP error 403 \(AccessDenied: Access Denied\)$/,
    )
  })
})

describe('where several things went wrong', () => {
  test('what is the job’s own counts more than what Nix overcame', () => {
    const retried = `warning: unable to download 'http://cache/x.narinfo': HTTP error 503; retrying in 254 ms (attempt 1/2)`
    const damaged = `hash mismatch importing path '${LIB}';`
    expect(judge([retried, damaged])).toMatchObject({ blame: 'job', permanent: true, path: LIB })
  })

  test('the cause counts more than the broken pipe it leads to', () => {
    const { message } = judge([
      'writing to file: No space left on device',
      'error (ignored): error: writing to file: Broken pipe',
      'writing to file: Broken pipe',
    ])
    expect(message).toMatch(/^a disk is full/)
  })

  test('what the store or the disk told counts more than what Nix said, and is said with it', () => {
    const said = ['client_loop: send disconnect: Broken pipe', 'writing to file: Broken pipe']
    expect(verdictOf(new NixFailure(said, undefined, gone(LIB)))).toEqual({
      blame: 'job',
      permanent: true,
      path: LIB,
      message: `${LIB} is not in the store any more (garbage-collected?): build it again, then requeue the job; Nix says: writing to file: Broken pipe`,
    })
  })

  test('an error that is not known leads to the path it names', () => {
    expect(judge([`something odd about '${LIB}/bin/x'`])).toMatchObject({ blame: 'unknown', path: LIB })
  })
})

describe('the sentences that are looked for', () => {
  const sayings = [...RULES.flatMap(({ says }) => says), ...IGNORES_HOOK, ...NO_S3]

  test('say which of the tested Nixes have them', () => {
    const known = ['2.8', '2.26', '2.34', '2.35', 'Lix']
    for (const [by] of sayings) {
      if (by === 'all') continue
      expect(known).toEqual(expect.arrayContaining(by.split(' ')))
    }
  })

  test('are found whatever their capitals and quotes', () => {
    for (const [, { source, flags }] of sayings) {
      expect(flags).toBe('i')
      expect(source).not.toMatch(/['"`‘’“”]/)
    }
    const verdict = judge([`Hash Mismatch importing path “${LIB}”;`])
    expect(verdict).toMatchObject({ blame: 'job', permanent: true, path: LIB })
  })
})
