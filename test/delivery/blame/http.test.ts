// Slow: real uploads to http servers that are in trouble, with every release of Nix. Whose fault is it said to be?

import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { everyNix, hasS3 } from '../../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../../support/private-nix.ts'
import { expectBlame, upload, withoutNetwork } from '../../support/servers/failing-copy.ts'
import { type Mood, type MoodyCache, startMoodyCache } from '../../support/servers/moody-cache.ts'
import { freePort } from '../../support/servers/server-process.ts'

const blame = 'destination'

describe.each(await everyNix())('an http cache, with $name', (nixVersion) => {
  const { version, isLix } = nixVersion
  /** They take a 401 for "not there". */
  const isMeek = version === '2.8.0' || isLix
  let nix: PrivateNix
  let cache: MoodyCache
  let app: string[]
  let big: string[]

  beforeAll(async () => {
    nix = await makePrivateNix(nixVersion, { name: 'blame-http' })
    app = (await nix.build({ name: 'app', deps: [{ name: 'library' }] })).outPaths
    big = (await nix.build({ name: 'big', sizeBytes: 12_000_000 })).outPaths
    cache = await startMoodyCache()
    return async () => {
      await cache.cleanup()
      await nix.cleanup()
    }
  })
  afterEach(() => cache.calm())

  test('takes an upload when it is well', async () => {
    await upload(nix, { to: cache.url, paths: app })
    expect(cache.count('PUT', /\.narinfo$/)).toBe(2)
    // What was uploaded stays there, so that the cases below get past nix-cache-info.
    await nix.run('sh', ['-c', 'cd -- "$1" && rm -r -- *.narinfo nar', 'sh', cache.dir])
  })

  test.each([
    { status: 403, says: /does not let us write/ },
    { status: 404, says: /check the path in the URL/ },
    { status: 405, says: /must allow HEAD and PUT/ },
    { status: 408, says: /timed out while it waited/ },
    { status: 429, says: /asks for fewer requests/ },
    { status: 500, says: /an internal problem/ },
    { status: 503, says: /overloaded/ },
    { status: 507, says: /disk of the destination is full/ },
  ])('answers $status to a PUT', async ({ status, says }) => {
    cache.behave({ status }, { method: 'PUT', path: /^\/nar\// })
    await expectBlame(nix, { to: cache.url, paths: app }, { blame, says })
    // None is tried again. 2.35 uploads several at a time.
    const puts = cache.seen.filter(({ method }) => method === 'PUT').map(({ path }) => path)
    expect(puts.toSorted()).toEqual([...new Set(puts)].sort())
    expect(puts).not.toEqual([])
  })

  test('answers 400 to a PUT: that can mean anything', async () => {
    cache.behave({ status: 400 }, { method: 'PUT' })
    await expectBlame(nix, { to: cache.url, paths: app }, { blame: 'unknown', says: /HTTP error 400/ })
  })

  test('refuses a file for its size, before it has read it or after', async () => {
    for (const early of [true, false]) {
      cache.calm()
      cache.behave({ status: 413, early }, { method: 'PUT', path: /^\/nar\// })
      const says = /client_max_body_size/
      await expectBlame(nix, { to: cache.url, paths: big }, { blame: 'job', permanent: true, says })
    }
  })

  test('answers 503 to a GET and 405 to a HEAD', async () => {
    cache.behave({ status: 503 }, { method: 'GET' })
    await expectBlame(nix, { to: cache.url, paths: app }, { blame, says: /overloaded/ })
    cache.calm()
    cache.behave({ status: 405 }, { method: 'HEAD' })
    await expectBlame(nix, { to: cache.url, paths: app }, { blame, says: /must allow HEAD/ })
  })

  test('wants a login, or another one', async () => {
    const locked = await startMoodyCache({ login: { user: 'builder', password: 's3cr3t' } })
    try {
      // Who takes 401 for "not there" tries to put nix-cache-info; so do the others where it is public.
      const says = isMeek ? /does not appear to be a binary cache/ : /does not know us.*HTTP error 401/
      await expectBlame(nix, { to: locked.url, paths: app }, { blame, says })
      const wrong = locked.url.replace('//', '//builder:wr0ng@')
      const message = await expectBlame(nix, { to: wrong, paths: app }, { blame, says: /netrc-file/ })
      expect(message).not.toContain('wr0ng')

      const netrcFile = `${nix.dir}/netrc`
      await nix.run('sh', ['-c', `echo machine 127.0.0.1 login builder password s3cr3t > ${netrcFile}`])
      await upload(nix, { to: locked.url, paths: app, netrcFile })
      expect(locked.count('PUT', /\.narinfo$/)).toBe(2)
    } finally {
      await locked.cleanup()
    }
  })

  test('takes no nix-cache-info', async () => {
    const empty = await startMoodyCache()
    try {
      empty.behave({ status: 405 }, { method: 'PUT' })
      await expectBlame(nix, { to: empty.url, paths: app }, { blame, says: /accepts PUT/ })
    } finally {
      await empty.cleanup()
    }
  })

  test('redirects for ever', async () => {
    cache.behave({ status: 302, headers: { location: '/again' } }, { method: 'GET' })
    await expectBlame(nix, { to: cache.url, paths: app }, { blame, says: /set the final URL/ })
  })

  const broken: { when: string; mood: Mood; method: 'GET' | 'PUT'; says: RegExp }[] = [
    { when: 'closes the connection at a GET', mood: { dropAfter: 0 }, method: 'GET', says: /broke off/ },
    { when: 'closes the connection at a PUT', mood: { dropAfter: 0 }, method: 'PUT', says: /broke off/ },
    { when: 'closes it in the midst of one', mood: { dropAfter: 1e6 }, method: 'PUT', says: /broke off/ },
    { when: 'never answers to a GET', mood: { stallAfter: 0 }, method: 'GET', says: /in time/ },
    { when: 'stalls in the midst of a PUT', mood: { stallAfter: 1e6 }, method: 'PUT', says: /stands still/ },
  ]
  test.each(broken)('$when', async ({ mood, method, says }) => {
    cache.behave(mood, method === 'PUT' ? { method, path: /^\/nar\// } : { method })
    await expectBlame(nix, { to: cache.url, paths: big, patienceSeconds: 1 }, { blame, says })
  })

  test('is not there', async () => {
    const to = `http://127.0.0.1:${await freePort()}`
    await expectBlame(nix, { to, paths: app }, { blame, says: /does not accept connections/ })
  })

  test('has a name that nobody knows', async () => {
    const request = { to: 'http://cache.invalid', paths: app, within: withoutNetwork() }
    await expectBlame(nix, request, { blame, says: /can't be resolved/ })
  })

  test('has a certificate that nobody trusts, or none', async () => {
    const secure = await startMoodyCache({ tls: true })
    try {
      await expectBlame(nix, { to: secure.url, paths: app }, { blame, says: /certificate .* is not trusted/ })
      const env = { NIX_SSL_CERT_FILE: '/nonexistent' }
      await expectBlame(nix, { to: secure.url, paths: app, env }, { blame, says: /NIX_SSL_CERT_FILE/ })
      const plain = secure.url.replace('https', 'http')
      await expectBlame(nix, { to: plain, paths: app }, { blame, says: /broke off/ })
      const to = cache.url.replace('http', 'https')
      await expectBlame(nix, { to, paths: app }, { blame, says: /no TLS connection/ })
    } finally {
      await secure.cleanup()
    }
  })

  test('is for another store directory', async () => {
    const other = await startMoodyCache()
    try {
      await nix.run('sh', ['-c', `echo StoreDir: /other/store > ${other.dir}/nix-cache-info`])
      await expectBlame(nix, { to: other.url, paths: app }, { blame, says: /another store directory/ })
    } finally {
      await other.cleanup()
    }
  })

  const withoutS3 = async () => {
    const says = /was built without S3/
    await expectBlame(nix, { to: 's3://bucket?region=eu-west-1', paths: app }, { blame, says })
  }

  const withS3 = async () => {
    const s3 = await startMoodyCache()
    const request = { to: `s3://bucket?endpoint=${s3.url}`, paths: app }
    const error = (code: string) => `<Error><Code>${code}</Code><Message>Because</Message></Error>`
    try {
      s3.behave({ status: 404, body: error('NoSuchBucket') })
      await expectBlame(nix, request, { blame, says: /path in the URL.*\(NoSuchBucket: Because\)/ })
      s3.calm()
      s3.behave({ status: 403, body: error('AccessDenied') })
      await expectBlame(nix, request, { blame, says: /AWS keys.*\(AccessDenied: Because\)/ })
      s3.calm()
      s3.behave({ status: 400, body: error('EntityTooLarge') }, { method: 'PUT', path: /nar\// })
      await expectBlame(nix, request, { blame: 'unknown', says: /EntityTooLarge: Because/ })
      s3.calm()
      await upload(nix, request)
      expect(s3.count('PUT', /^\/bucket\/.*\.narinfo$/)).toBe(2)
    } finally {
      await s3.cleanup()
    }
  }

  if (hasS3(nixVersion)) test('is S3, and has no such bucket, or refuses us', withS3)
  else test('is S3, which this Nix was built without', withoutS3)
})
