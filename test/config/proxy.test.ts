// Which proxy a request goes through is what curl would say, and so Nix: each row is put to a real curl, too.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterAll, describe, expect, test } from 'vitest'
import { proxyFor, proxyProblem } from '../../src/config/proxy.ts'
import { runProgram } from '../support/run.ts'

/** Says what was asked of it, as a proxy is asked for the whole URL or for a tunnel. */
const asked: string[] = []
const server = createServer((request, response) => {
  asked.push(request.url ?? '')
  response.end()
}).on('connect', (request, socket) => {
  asked.push(`tunnel ${request.url}`)
  socket.end('HTTP/1.1 403 no\r\n\r\n')
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
afterAll(() => void server.close())
const address = server.address()
const PORT = address !== null && typeof address === 'object' ? address.port : 0
const PROXY = `http://127.0.0.1:${PORT}`
const BARE = `127.0.0.1:${PORT}`

interface Row {
  url: string
  env: Record<string, string>
  isProxied: boolean
}

const yes = (url: string, env: Record<string, string>): Row => ({ url, env, isProxied: true })
const no = (url: string, env: Record<string, string>): Row => ({ url, env, isProxied: false })
const HTTP = 'http://a.invalid/'
const HTTPS = 'https://a.invalid/'

describe('the variables', () => {
  test.each([
    no(HTTP, {}),
    yes(HTTP, { http_proxy: PROXY }),
    yes(HTTP, { http_proxy: BARE }),
    yes(HTTP, { http_proxy: `HTTP://${BARE}` }),
    no(HTTP, { HTTP_PROXY: PROXY }),
    no(HTTP, { https_proxy: PROXY }),
    yes(HTTP, { all_proxy: BARE }),
    yes(HTTP, { ALL_PROXY: PROXY }),
    yes(HTTP, { http_proxy: '', ALL_PROXY: PROXY }),
    yes(HTTP, { http_proxy: PROXY, all_proxy: 'http://127.0.0.1:1' }),
    yes(HTTPS, { https_proxy: BARE }),
    yes(HTTPS, { HTTPS_PROXY: PROXY }),
    yes(HTTPS, { https_proxy: PROXY, HTTPS_PROXY: 'http://127.0.0.1:1' }),
    yes(HTTPS, { https_proxy: '', HTTPS_PROXY: PROXY }),
    yes(HTTPS, { all_proxy: PROXY }),
    no(HTTPS, { http_proxy: PROXY }),
  ])('$env for $url: $isProxied', agreesWithCurl)
})

describe('no_proxy', () => {
  const of = (url: string, lists: Record<string, boolean>) =>
    Object.entries(lists).map(([list, isProxied]) => ({
      url,
      env: { http_proxy: PROXY, no_proxy: list },
      isProxied,
    }))
  test.each([
    ...of(HTTP, {
      '': true,
      '*': false,
      '*.invalid': true,
      'x,*': true,
      invalid: false,
      '.invalid': false,
      'a.invalid': false,
      '.a.invalid': false,
      'a.invalid.': false,
      'A.INVALID': false,
      'b.invalid': true,
      nvalid: true,
      'b.invalid,a.invalid': false,
      'b.invalid a.invalid': false,
      'b.invalid , a.invalid': false,
      'b.invalid;a.invalid': true,
      'a.invalid:80': true,
    }),
    ...of('http://a.invalid:81/', { 'a.invalid': false, 'a.invalid:81': true }),
    ...of('http://a.invalid./', { 'a.invalid': false }),
    ...of('http://127.0.0.1:1/', {
      localhost: true,
      '127.0.0.1': false,
      '127.0.0.0/8': false,
      '127.0.0.1/32': false,
      '127.0.1.0/24': true,
      '127.0.0': true,
      '.0.0.1': true,
      '127.0.0.1:1': true,
      '127.0.0.1/33': true,
    }),
    ...of('http://[::1]:1/', { '::1': false, '::2': true, localhost: true }),
    no(HTTP, { http_proxy: PROXY, NO_PROXY: 'a.invalid' }),
    no(HTTP, { http_proxy: PROXY, no_proxy: '', NO_PROXY: 'a.invalid' }),
    yes(HTTP, { http_proxy: PROXY, no_proxy: 'b', NO_PROXY: 'a.invalid' }),
  ])('$env for $url: $isProxied', agreesWithCurl)

  test('an IPv6 network is one, which old curls do not see', () => {
    for (const [list, isProxied] of Object.entries({ '::/64': false, '[::1]': false, 'fe80::/10': true })) {
      const env = { http_proxy: PROXY, no_proxy: list }
      expect(proxyFor(new URL('http://[::1]:1/'), env) !== undefined, list).toBe(isProxied)
    }
  })
})

async function agreesWithCurl({ url, env, isProxied }: Row): Promise<void> {
  const proxy = proxyFor(new URL(url), env)
  expect(proxy !== undefined).toBe(isProxied)
  if (proxy) expect(new URL(proxy.url).host).toBe(BARE)
  asked.length = 0
  const args = ['--silent', '--globoff', '--max-time', '5', url]
  await runProgram('curl', args, { env: { PATH: '/usr/bin:/bin', ...env } })
  expect(asked.length, 'and curl').toBe(isProxied ? 1 : 0)
}

test.each([
  ['proxy', 'http://proxy:1080/'],
  ['http://proxy', 'http://proxy:1080/'],
  ['http://proxy:80', 'http://proxy:80'],
  ['https://proxy', 'https://proxy'],
  ['me:secret@proxy:3128', 'http://me:secret@proxy:3128'],
])('the proxy %s is at %s, as curl has it', (value, url) => {
  expect(proxyFor(new URL(HTTP), { http_proxy: value })).toEqual({ url, variable: 'http_proxy' })
})

test.each([
  [{ https_proxy: PROXY }, undefined],
  [{ all_proxy: 'socks5h://me:secret@proxy:1080', no_proxy: 'a.invalid' }, undefined],
  [
    { all_proxy: 'socks5h://me:secret@proxy:1080' },
    /^all_proxy names a proxy at socks5h:\/\/, which nix-upload can't use \(curl and Nix can\): name one at http:\/\/ or https:\/\/, add a\.invalid to no_proxy, or let Nix upload \(via = "nix"\)$/,
  ],
  [{ HTTPS_PROXY: 'socks4://proxy' }, /^HTTPS_PROXY names a proxy at socks4:/],
  [{ https_proxy: 'http://me:secret@proxy:port' }, /^https_proxy is not the address of a proxy: name one/],
])('of %o it is said what is wrong, without the password: %s', (env, says) => {
  const problem = proxyProblem(new URL(HTTPS), env)
  if (says === undefined) expect(problem).toBeUndefined()
  else expect(problem).toMatch(says)
  expect(problem ?? '').not.toContain('secret')
})
