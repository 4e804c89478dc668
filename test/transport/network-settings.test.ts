// What Nix's settings do to requests. Which settings there are: test/nix/network-settings.test.ts.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { NetworkSettings } from '../../src/config/network-settings.ts'
import { HttpTransport } from '../../src/transport/http/http-transport.ts'
import { withEnvironment } from '../support/servers/failing-copy.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { expectFailure, never, putText, quickConcurrency, temporaryDirectory } from './bed.ts'
import { fakeServer } from './fake-server.ts'
import { behindSilence } from './http/silent-port.ts'
import { ANYBODY, NOBODY, withTransport } from './s3/s3-bed.ts'

const CERTIFICATE = join(import.meta.dirname, '../support/servers/self-signed.pem')
/** Whoever runs the tests may have some. */
const NO_CAS = { NIX_SSL_CERT_FILE: '', SSL_CERT_FILE: '', AWS_CA_BUNDLE: '' }

const [cache, secure] = await Promise.all([startMoodyCache(), startMoodyCache({ tls: true })])
afterAll(() => Promise.all([cache.cleanup(), secure.cleanup()]))

async function withSettings(
  to: string,
  settings: NetworkSettings,
  use: (transport: HttpTransport) => Promise<unknown>,
): Promise<void> {
  const requests = quickConcurrency()
  const network = async () => settings
  const transport = new HttpTransport({ to, network, requests, progressTimeoutMs: 20_000 })
  await withEnvironment(NO_CAS, () => use(transport)).finally(() => transport.close())
}

test('ssl-cert-file is trusted', async () => {
  await withSettings(secure.url, {}, async (transport) => {
    await expectFailure(putText(transport, 'x'), { says: /certificate.*not trusted.*ssl-cert-file/ })
  })
  await withSettings(secure.url, { caFile: CERTIFICATE }, (transport) => putText(transport, 'x'))
  await withSettings(secure.url, { caFile: '/nowhere' }, async (transport) => {
    await expect(putText(transport, 'x')).rejects.toThrow(
      /CA certificates can't be read.*\/nowhere.*ssl-cert-file/,
    )
  })
  // What isn't needed may be missing.
  await withSettings(cache.url, { caFile: '/nowhere' }, (transport) => putText(transport, 'x'))
})

test('netrc-file says who we are', async () => {
  const netrcFile = join(await temporaryDirectory(), 'users')
  await writeFile(netrcFile, 'machine 127.0.0.1 login builder password secret')
  await withSettings(cache.url, { netrcFile }, (transport) => putText(transport, 'x'))
  expect(cache.seen.at(-1)?.authorization).toMatch(/^Basic /)
})

test('connect-timeout is how long a connection may take', async () => {
  const { href } = await behindSilence()
  await withSettings(href, { connectTimeoutMs: 300 }, async (transport) => {
    const began = performance.now()
    await expectFailure(transport.get('x', never), { says: /not answer in time/ })
    // Five attempts of 0.3 s, and what is between them; a single one took 15 s by default.
    expect(performance.now() - began).toBeLessThan(12_000)
  })
})

test('http-connections is how many requests there are at a time', async () => {
  cache.behave({ delayMs: 20 })
  cache.peak = 0
  await withSettings(cache.url, { connections: 3 }, (transport) =>
    Promise.all(Array.from({ length: 30 }, (_, at) => transport.get(`${at}.narinfo`, never))),
  )
  expect(cache.peak).toBe(3)
})

test('and how many connections, also where each request follows another one at once', async () => {
  const server = await fakeServer((_, response) => {
    response.statusCode = 404
    response.end()
  })
  await withSettings(server.url, { connections: 5 }, (transport) =>
    Promise.all(Array.from({ length: 200 }, (_, at) => transport.get(`${at}.narinfo`, never))),
  )
  expect(server.connections).toBeLessThanOrEqual(5)
})

test('for S3, AWS_CA_BUNDLE and ca_bundle of the profile come first', async () => {
  const file = join(await temporaryDirectory(), 'config')
  const keys = 'aws_access_key_id = KEY\naws_secret_access_key = SECRET\n'
  await writeFile(file, `[profile trusting]\n${keys}ca_bundle = ${CERTIFICATE}\n`)
  const get = (env: Record<string, string>, settings: NetworkSettings) =>
    withTransport(
      `s3://cache?endpoint=${secure.url}`,
      ANYBODY,
      (transport) =>
        withEnvironment({ ...NO_CAS, AWS_CONFIG_FILE: file, ...env }, () => transport.get('none', never)),
      { network: async () => settings },
    )
  const wrong = { caFile: '/nowhere' }
  await expect(get({}, wrong)).rejects.toThrow(/CA certificates can't be read/)
  expect(await get({}, { caFile: CERTIFICATE })).toBeUndefined()
  expect(await get({ AWS_CA_BUNDLE: CERTIFICATE }, wrong)).toBeUndefined()
  expect(await get({ AWS_PROFILE: 'trusting' }, wrong)).toBeUndefined()
  await expect(get({ AWS_CA_BUNDLE: '/nowhere', AWS_PROFILE: 'trusting' }, {})).rejects.toThrow(/nowhere/)
})

test('they hold for what the SDK asks to get credentials, too', async () => {
  const token = join(await temporaryDirectory(), 'token')
  await writeFile(token, 'token')
  const sts = await startMoodyCache({ tls: true })
  const credentials =
    '<AccessKeyId>STS</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>'
  const body = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>${credentials}</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
  sts.behave({ status: 200, headers: { 'content-type': 'text/xml' }, body })
  const env = {
    ...NO_CAS,
    AWS_WEB_IDENTITY_TOKEN_FILE: token,
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/x',
    AWS_ENDPOINT_URL_STS: sts.url,
  }
  const get = (settings: NetworkSettings) =>
    withTransport(
      `s3://cache?endpoint=${cache.url}`,
      NOBODY,
      (transport) => withEnvironment(env, () => transport.get('none', never)),
      { network: async () => settings },
    )
  await expectFailure(get({}), { says: /certificate.*not trusted.*asking for AWS credentials/ })
  expect(await get({ caFile: CERTIFICATE })).toBeUndefined()
  expect(cache.seen.at(-1)?.authorization).toContain('Credential=STS/')
  await sts.cleanup()
})
