// What is wrong with a certificate, and what to do about it, is said for each kind.

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import type { TlsOptions } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { HttpTransport } from '../../../src/transport/http/http-transport.ts'
import { expectFailure, MIB, put, putText, quickConcurrency, temporaryDirectory } from '../bed.ts'

/** Makes a certificate that is valid for 30 days from a date on. Its own file is its CA. */
async function certificate(names: string, from: string) {
  const [key, cert] = ['key', 'cert'].map((name) => `${name}.pem`)
  const dir = await temporaryDirectory()
  const how = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30']
  const what = [
    '-subj',
    '/CN=cache',
    '-addext',
    `subjectAltName=${names}`,
    '-keyout',
    `${key}`,
    '-out',
    `${cert}`,
  ]
  execFileSync('faketime', ['-f', from, 'openssl', 'req', ...how, ...what], { cwd: dir, stdio: 'pipe' })
  const caFile = join(dir, `${cert}`)
  return { caFile, key: readFileSync(join(dir, `${key}`)), cert: readFileSync(caFile) }
}

async function reach(made: Awaited<ReturnType<typeof certificate>>, options: TlsOptions = {}) {
  const server = createServer({ ...made, ...options }, (request, response) => {
    request.resume().on('end', () => response.writeHead(201).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port')
  const transport = new HttpTransport({
    to: `https://localhost:${address.port}`,
    progressTimeoutMs: 20_000,
    requests: quickConcurrency(),
    network: async () => ({ caFile: made.caFile }),
  })
  onTestFinished(() => {
    transport.close()
    server.close()
    server.closeAllConnections()
  })
  return transport
}

test.each([
  ['has expired', 'DNS:localhost', '-60d', /has expired: renew it there.*certificate has expired/],
  ['is not valid yet', 'DNS:localhost', '+60d', /not valid yet: check the clock of this machine/],
  ['is for another host', 'DNS:other.example', '-1d', /for another host: use a name.*DNS:other\.example/],
])('a certificate that %s', async (_, names, from, says) => {
  const transport = await reach(await certificate(names, from))
  await expectFailure(putText(transport, 'x'), { says })
  // The other client says the same.
  await expectFailure(put(transport, 'nar/x', Buffer.alloc(2 * MIB)), { says })
})

test('a server that speaks only older TLS', async () => {
  const older = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  const transport = await reach(await certificate('DNS:localhost', '-1d'), older)
  const says = /no version of TLS in common.*failed: (?:write EPROTO )?tlsv1 alert protocol version/
  await expectFailure(putText(transport, 'x'), { says })
  await expectFailure(put(transport, 'nar/x', Buffer.alloc(2 * MIB)), { says })
})

test('a server that wants a certificate of ours', async () => {
  const made = await certificate('DNS:localhost', '-1d')
  const transport = await reach(made, { requestCert: true, rejectUnauthorized: true, ca: made.cert })
  const says = /asks for a client certificate: name it in the URL \(tls-certificate/
  await expectFailure(put(transport, 'nar/x', Buffer.alloc(2 * MIB)), { says })
})

test('a server that has a certificate for each of its names is asked by name', async () => {
  const [one, other] = [
    await certificate('DNS:localhost', '-1d'),
    await certificate('DNS:other.example', '-1d'),
  ]
  const { createSecureContext } = await import('node:tls')
  const transport = await reach(other, {
    SNICallback: (name, done) => done(null, createSecureContext(name === 'localhost' ? one : other)),
  })
  await expectFailure(putText(transport, 'x'), { says: /not trusted: add the certificate of its CA/ })
  const trusting = await reach(one, {
    ...other,
    SNICallback: (name, done) => done(null, createSecureContext(name === 'localhost' ? one : other)),
  })
  await expect(putText(trusting, 'x')).resolves.toBeUndefined()
})
