// Uploads to a real nginx, and to a server that misbehaves when told to.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createHttpTransport } from '../../../src/transport/http/http-transport.ts'
import type { Transport, TransportOptions } from '../../../src/transport/transport.ts'
import { digestOf, expectFailure, makeFile, never, putText, quickFlow } from '../../cache/bed.ts'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import { type MoodyCache, startMoodyCache } from '../../support/servers/moody-cache.ts'
import { type NginxOptions, startNginx } from '../../support/servers/nginx.ts'
import { freePort } from '../../support/servers/server-process.ts'

let dir: string
let cache: MoodyCache

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nix-upload-http-'))
  cache = await startMoodyCache()
  return async () => {
    await cache.cleanup()
    await rm(dir, { recursive: true })
  }
})

const opened: Transport[] = []

function transportTo(to: string, options: Partial<TransportOptions> = {}): Transport {
  const transport = createHttpTransport({ to, progressTimeoutMs: 20_000, flow: quickFlow(), ...options })
  opened.push(transport)
  return transport
}

afterEach(() => {
  for (const transport of opened.splice(0)) transport.close()
  cache.calm()
})

describe('nginx', () => {
  async function withNginx(options: NginxOptions, use: (url: string, root: string) => Promise<unknown>) {
    const nginx = await startNginx(options)
    try {
      await use(nginx.url, nginx.root)
    } finally {
      await nginx.stop()
    }
  }

  test('gets a file as it is, and gives a text back', async () => {
    const { body, digest } = await makeFile(join(dir, 'nar'), 30_000_000)
    await withNginx({}, async (url, root) => {
      const transport = transportTo(`${url}/some/place/?compression=zstd&priority=10`)
      let sent = 0
      await transport.put('nar/big.nar.zst', body, never, (count) => {
        sent += count
      })
      expect(sent).toBe(body.size)
      expect(await digestOf(join(root, 'some/place/nar/big.nar.zst'))).toBe(digest)
      expect(await transport.get('x.narinfo', never)).toBeUndefined()
      await putText(transport, 'x.narinfo', 'StorePath: ü\n')
      await putText(transport, 'x.narinfo', 'StorePath: ö\n')
      expect(await transport.get('x.narinfo', never)).toBe('StorePath: ö\n')
      const odd = 'log/abc-what?+is=this 100%.drv'
      await putText(transport, odd, 'odd')
      expect(await readFile(join(root, 'some/place', odd), 'utf8')).toBe('odd')
    })
  })

  test('gives what was uploaded compressed as it was before', async () => {
    await withNginx({ location: 'add_header Content-Encoding gzip;' }, async (url, root) => {
      await writeFile(join(root, 'z.narinfo'), gzipSync('StorePath: z'))
      expect(await transportTo(url).get('z.narinfo', never)).toBe('StorePath: z')
    })
  })

  test('blames the job for a file larger than nginx takes, having sent none of it', async () => {
    const { body } = await makeFile(join(dir, 'large'), 20_000_000)
    await withNginx({ maxBody: '1m' }, async (url) => {
      let sent = 0
      const put = transportTo(url).put('nar/large', body, never, (count) => {
        sent += count
      })
      const expected = {
        blame: 'job',
        permanent: true,
        isOfOneFile: true,
        says: /client_max_body_size.*413/,
      } as const
      await expectFailure(put, expected)
      expect(sent).toBe(0)
    })
  })

  test('says what to do where nginx takes no PUT', async () => {
    await withNginx({ location: '' }, async (url) => {
      await expectFailure(putText(transportTo(url), 'x.narinfo'), { says: /dav_methods PUT.*405/ })
    })
  })

  test('logs in with a netrc file, or with a user name in the URL and a password there', async () => {
    const users = join(dir, 'users')
    await writeFile(users, 'builder:{PLAIN}secret\n', { mode: 0o644 })
    const location = `auth_basic cache; auth_basic_user_file ${users}; dav_methods PUT; create_full_put_path on;`
    await withNginx({ location }, async (url) => {
      const netrcFile = join(dir, 'netrc')
      const transport = transportTo(url, { netrcFile })
      await writeFile(netrcFile, 'machine 127.0.0.1 login builder password wrong')
      const message = await expectFailure(putText(transport, 'x.narinfo'), { says: /netrc-file.*401/ })
      expect(message).not.toContain('wrong')
      await writeFile(
        netrcFile,
        'machine 127.0.0.1 login other password x\nmachine 127.0.0.1 login builder password secret',
      )
      await expectFailure(putText(transport, 'x.narinfo'), { says: /401/ })
      await putText(transportTo(url.replace('//', '//builder@'), { netrcFile }), 'x.narinfo')
      await putText(transportTo(url.replace('//', '//builder:secret@')), 'x.narinfo')
      // The file was mended while the first transport goes on.
      await writeFile(netrcFile, 'machine 127.0.0.1 login builder password secret')
      await putText(transport, 'x.narinfo')
    })
  })
})

test('looks for the netrc file of Nix once, and again when it is asked who it is', async () => {
  const confDir = await mkdtemp(join(dir, 'conf-'))
  await withEnvironment({ NIX_CONF_DIR: confDir }, async () => {
    const transport = transportTo(cache.url)
    await putText(transport, 'a.narinfo')
    await writeFile(join(confDir, 'netrc'), 'machine 127.0.0.1 login builder password secret')
    await putText(transport, 'b.narinfo')
    cache.behave({ status: 401 }, { path: /c\.narinfo/, times: 1 })
    await expectFailure(putText(transport, 'c.narinfo'), { says: /401/ })
    await putText(transport, 'c.narinfo')
  })
  const isKnown = cache.seen.map(({ authorization }) => authorization !== undefined)
  expect(isKnown).toEqual([false, false, false, true])
})

test('names the type of each file as Nix does', async () => {
  const transport = transportTo(`${cache.url}/p?x=y`)
  const names = ['nix-cache-info', 'a.narinfo', 'nar/a.nar.zst', 'a.ls', 'log/a.drv', 'realisations/a.doi']
  for (const name of names) await putText(transport, name)
  expect(cache.seen.map(({ path, contentType }) => [path, contentType])).toEqual([
    ['/p/nix-cache-info', 'text/x-nix-cache-info'],
    ['/p/a.narinfo', 'text/x-nix-narinfo'],
    ['/p/nar/a.nar.zst', 'application/x-nix-nar'],
    ['/p/a.ls', 'application/json'],
    ['/p/log/a.drv', 'text/plain; charset=utf-8'],
    ['/p/realisations/a.doi', 'application/json'],
  ])
})

describe('redirections', () => {
  test('are followed for a GET, with the login kept to those whom it is for', async () => {
    const other = await startMoodyCache()
    await putText(transportTo(other.url), 'there.narinfo', 'there')
    other.calm()
    cache.behave({ status: 302, headers: { location: '/b.narinfo' } }, { path: /a\.narinfo/ })
    cache.behave({ status: 301, headers: { location: `${other.url}/there.narinfo` } }, { path: /b\.narinfo/ })
    const transport = transportTo(cache.url.replace('//', '//u:p@'))
    expect(await transport.get('a.narinfo', never)).toBe('there')
    expect(cache.seen.map((seen) => seen.authorization !== undefined)).toEqual([true, true])
    expect(other.seen.map((seen) => seen.authorization)).toEqual([undefined])
    await other.cleanup()
  })

  test('are followed for a PUT only where it is to be a PUT there too', async () => {
    const { body, digest } = await makeFile(join(dir, 'moved'), 2_000_000)
    cache.behave({ status: 307, headers: { location: '/new/a' } }, { path: /^\/nar\/a/ })
    cache.behave({ status: 302, headers: { location: '/new/b' } }, { path: /^\/nar\/b/ })
    const transport = transportTo(cache.url)
    let sent = 0
    await transport.put('nar/a', body, never, (count) => {
      sent += count
    })
    expect(sent).toBe(body.size)
    expect(await digestOf(join(cache.dir, 'new/a'))).toBe(digest)
    await expectFailure(putText(transport, 'nar/b'), { says: /give the final URL.*302/ })
  })

  test('that lead nowhere are an error', async () => {
    cache.behave({ status: 302, headers: { location: '/round.narinfo' } })
    await expectFailure(transportTo(cache.url).get('round.narinfo', never), { says: /not to an end/ })
    expect(cache.seen).toHaveLength(6)
  })
})

describe('what a server answers', () => {
  test.each([
    [401, { says: /netrc-file.*: 401/ }],
    [403, { says: /rights.*: 403/, isOfOneFile: true }],
    [404, { says: /check the path in the URL.*: 404/ }],
    [405, { says: /dav_methods PUT.*: 405/ }],
    [413, { says: /client_max_body_size.*: 413/, isOfOneFile: true, blame: 'job', permanent: true }],
    [500, { says: /trouble of its own.*: 500 \(Sorry, broken\)/, isOfOneFile: true }],
    [507, { says: /disk of the destination is full.*: 507/ }],
    [422, { says: /refuses the upload.*PUT nar\/x: 422/, isOfOneFile: true }],
  ] as const)('%i to a PUT, before it has the body', async (status, expected) => {
    const { body } = await makeFile(join(dir, 'refused'), 5_000_000)
    cache.behave({ status, early: true, body: '<html><title>Sorry,\nbroken</title>' })
    let sent = 0
    const put = transportTo(cache.url).put('nar/x', body, never, (count) => {
      sent += count
    })
    await expectFailure(put, expected)
    expect(sent).toBe(0)
    expect(cache.seen.length).toBe(status === 500 ? 5 : 1)
  })

  test.each([200_000, 8_000_000])(
    'is kept where it closes the connection at once, %i bytes',
    async (size) => {
      const server = createServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', () =>
          socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno'),
        )
      })
      const port = await freePort()
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
      const { body } = await makeFile(join(dir, 'slammed'), size)
      const put = transportTo(`http://127.0.0.1:${port}`).put('nar/x', body, never, () => {})
      await expectFailure(put, { says: /413 \(no\)/, isOfOneFile: true, blame: 'job', permanent: true })
      server.close()
    },
  )

  test('403 and 410 to a GET mean that there is no such file, 401 does not', async () => {
    const transport = transportTo(cache.url)
    for (const status of [403, 404, 410]) cache.behave({ status }, { path: new RegExp(`${status}`) })
    for (const name of ['403', '404', '410']) expect(await transport.get(name, never)).toBeUndefined()
    cache.behave({ status: 401 })
    await expectFailure(transport.get('x', never), { says: /does not know us/ })
  })
})

test('a server that takes uploads and refuses to give them back is warned of once', async () => {
  cache.behave({ status: 403 }, { method: 'GET' })
  const warnings: string[] = []
  const transport = transportTo(cache.url, { onWarning: (message) => warnings.push(message) })
  for (const name of ['a.narinfo', 'b.narinfo']) {
    expect(await transport.get(name, never)).toBeUndefined()
    await putText(transport, name)
  }
  expect(warnings).toEqual([expect.stringMatching(/not read.*403/)])
})

test('goes through the proxy of the environment, unless the host is one of no_proxy', async () => {
  const to = 'http://cache.invalid/place'
  await withEnvironment({ http_proxy: cache.url, no_proxy: '' }, () => putText(transportTo(to), 'x.narinfo'))
  expect(cache.seen.map(({ path }) => path)).toEqual([`${to}/x.narinfo`])
  await withEnvironment({ http_proxy: cache.url, no_proxy: 'cache.invalid' }, async () => {
    await expectFailure(putText(transportTo(to), 'x.narinfo'), { says: /can't be resolved/ })
  })
})

describe('no answer at all', () => {
  test('nobody listens', async () => {
    const to = `http://127.0.0.1:${await freePort()}`
    await expectFailure(putText(transportTo(to), 'x'), { says: /does not accept connections.*ECONNREFUSED/ })
  })

  test('there is no such host', async () => {
    const action = putText(transportTo('http://no-such-host.invalid'), 'x')
    await expectFailure(action, { says: /can't be resolved: check its spelling/ })
  })

  test('it speaks http, not https', async () => {
    const action = putText(transportTo(cache.url.replace('http', 'https')), 'x')
    await expectFailure(action, { says: /is it http:\/\/ rather than https/ })
  })

  test('its certificate is not trusted, unless NIX_SSL_CERT_FILE or SSL_CERT_FILE says so', async () => {
    const secure = await startMoodyCache({ tls: true })
    await expectFailure(putText(transportTo(secure.url), 'x'), { says: /certificate.*not trusted/ })
    const file = join(import.meta.dirname, '../../support/servers/self-signed.pem')
    for (const [nix, others] of [
      [file, '/nowhere'],
      ['', file],
    ] as const) {
      const env = { NIX_SSL_CERT_FILE: nix, SSL_CERT_FILE: others }
      await withEnvironment(env, () => putText(transportTo(secure.url), 'x'))
    }
    await withEnvironment({ NIX_SSL_CERT_FILE: '/nowhere' }, async () => {
      await expect(putText(transportTo(secure.url), 'x')).rejects.toThrow(/CA certificates.*\/nowhere/)
    })
    await secure.cleanup()
  })
})
