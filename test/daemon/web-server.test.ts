import { request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { CONTENT_SECURITY_POLICY } from '../../src/daemon/page/page.ts'
import { WebServer } from '../../src/daemon/web-server.ts'
import { UserError } from '../../src/util/user-error.ts'
import { until } from '../integration/daemon.ts'
import { freePort } from '../support/servers/server-process.ts'

interface Answer {
  code: number | undefined
  headers: Record<string, unknown>
  text: string
}

/** A server, and how to ask it. */
async function serving({ page = async () => '<!doctype html>' } = {}) {
  const port = await freePort()
  const warnings: string[] = []
  let pages = 0
  const server = new WebServer(
    { host: '127.0.0.1', port },
    {
      page: () => {
        pages++
        return page()
      },
      metrics: async () => 'nix_upload_running 1\n',
      warn: (_, what) => warnings.push(what),
    },
  )
  onTestFinished(() => server.close())
  const ask = (path: string, { method = 'GET', host = `127.0.0.1:${port}` } = {}) =>
    new Promise<Answer>((resolve, reject) => {
      const sent = request({ port, host: '127.0.0.1', path, method, headers: { host } }, (response) => {
        let text = ''
        response.on('data', (data) => {
          text += data
        })
        response.on('end', () => resolve({ code: response.statusCode, headers: response.headers, text }))
      })
      sent.on('error', reject).end()
    })
  await until(async () => (await ask('/metrics').catch(() => undefined)) !== undefined, 'the server')
  return { ask, warnings, pages: () => pages }
}

test('the page is at /, for GET and HEAD', async () => {
  const { ask } = await serving()
  const got = await ask('/')
  expect(got).toMatchObject({ code: 200, text: '<!doctype html>' })
  expect(got.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'content-length': '15' })
  const head = await ask('/?x=1', { method: 'HEAD' })
  expect(head).toMatchObject({ code: 200, text: '' })
  expect(head.headers).toMatchObject({ 'content-length': '15' })
})

test('every answer tells browsers to run nothing of others, and to show it to no other page', async () => {
  const { ask } = await serving()
  const answers = await Promise.all([
    ask('/'),
    ask('/metrics'),
    ask('/elsewhere'),
    ask('/', { method: 'POST' }),
    ask('/', { host: 'evil.example' }),
  ])
  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    })
    expect(headers).not.toHaveProperty('access-control-allow-origin')
  }
})

test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'])('%s is refused', async (method) => {
  const { ask, pages } = await serving()
  for (const path of ['/', '/metrics'])
    expect(await ask(path, { method })).toMatchObject({ code: 405, headers: { allow: 'GET, HEAD' } })
  expect(pages()).toBe(0)
})

test('who asks by a name that is not this machine’s is refused the page, and told what to do', async () => {
  const { ask, pages } = await serving()
  const refused = await ask('/', { host: 'evil.example' })
  expect(refused).toMatchObject({ code: 403, headers: { 'content-type': 'text/plain; charset=utf-8' } })
  expect(refused.text).toContain('metrics-listen')
  expect(refused.text).toContain('Host: localhost')
  expect(pages()).toBe(0)
  expect(await ask('/', { host: 'localhost' })).toMatchObject({ code: 200 })
  // Prometheus may call it anything, and there is nothing in them but counts.
  expect(await ask('/metrics', { host: 'evil.example' })).toMatchObject({ code: 200 })
})

test('there is nothing else', async () => {
  const { ask } = await serving()
  for (const path of ['/index.html', '//', '/metrics/', '/../etc/passwd', '/%2e%2e', '*'])
    expect(await ask(path), path).toMatchObject({ code: 404 })
})

test('what a person can mend is said, and anything else goes to the log', async () => {
  const mendable = await serving({
    page: async () => {
      throw new UserError('/spool/new is missing')
    },
  })
  expect(await mendable.ask('/')).toMatchObject({ code: 503, text: '/spool/new is missing\n' })
  expect(mendable.warnings).toEqual([])
  const bug = await serving({
    page: async () => {
      throw new Error('secret')
    },
  })
  expect(await bug.ask('/')).toMatchObject({ code: 500, text: '' })
  expect(bug.warnings).toHaveLength(1)
})
