// Uploads to binary caches over http: nginx as people have it, and S3.

import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeSite } from '../integration/site.ts'
import { hasS3 } from '../support/nix-versions.mjs'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { startNginx } from '../support/servers/nginx.ts'
import { startServer } from '../support/servers/server-process.ts'
import { versions } from './bed.ts'

const CERTIFICATE = join(import.meta.dirname, '../support/servers/self-signed.pem')

describe.each(versions)('with $name', (version) => {
  test('nginx that wants a login takes what comes with a netrc file', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const file = (name: string) => join(site.nix.dir, name)
    await writeFile(file('htpasswd'), 'builder:{PLAIN}open sesame\n')
    const location = `dav_methods PUT; create_full_put_path on; auth_basic cache; auth_basic_user_file ${file('htpasswd')};`
    const nginx = await startNginx({ location })
    onTestFinished(() => nginx.stop())
    const [host = '', port = ''] = nginx.url.replace('http://', '').split(':')
    await writeFile(file('netrc'), `machine ${host}\nlogin builder\npassword "open sesame"\n`)
    const { outPaths } = await site.nix.build({ name: 'app', deps: [{ name: 'library' }] })
    const [name = ''] = await site.enqueue(outPaths)
    const to = `[[destination]]\nto = "http://${host}:${port}"\n`

    expect(await site.run(['drain', ...(await site.configured(to))])).toMatchObject({ exitCode: 75 })
    const { attempts, error } = await site.delivery('new', name)
    expect(attempts).toBe(0)
    expect(error).toMatch(/login.*netrc-file/)

    const config = await site.configured(`${to}netrc-file = "${file('netrc')}"\n`)
    expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 0 })
    const closure = (await site.nix.run('nix-store', ['-qR', ...outPaths])).stdout.split('\n')
    expect(closure.map((path) => site.isCached(path, nginx.root))).toEqual([true, true])
    expect(existsSync(join(nginx.root, 'nix-cache-info'))).toBe(true)
  })

  test('what nix.conf says of certificates and logins holds for uploads', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const server = await startMoodyCache({ tls: true, login: { user: 'builder', password: 'secret' } })
    onTestFinished(() => server.cleanup())
    const netrc = join(site.nix.dir, 'users')
    await writeFile(netrc, 'machine 127.0.0.1 login builder password secret\n')
    const [path = ''] = await site.paths(1)
    await site.enqueue([path])
    const args = ['drain', '--to', server.url]
    // Nix 2.8 knows no setting for certificates, and looks at the variable alone.
    const isOld = version.version.startsWith('2.8')
    const env: Record<string, string> = isOld ? { NIX_SSL_CERT_FILE: CERTIFICATE } : {}
    expect(await site.run(args, { env })).toMatchObject({ exitCode: 75 })

    const conf = join(site.nix.confDir, 'nix.conf')
    const trust = isOld ? '' : `ssl-cert-file = ${CERTIFICATE}\n`
    await writeFile(conf, `${await readFile(conf, 'utf8')}netrc-file = ${netrc}\n${trust}`)
    const { exitCode, stderr } = await site.run(args, { env })
    expect(exitCode, stderr).toBe(0)
    expect(site.isCached(path, server.dir)).toBe(true)
  })

  test('S3 by Nix itself takes uploads, or the error says which Nix this is and what would help', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    // Takes requests without a signature, as a bucket may that everybody can write to.
    const server = await startMoodyCache()
    onTestFinished(() => server.cleanup())
    const [path = ''] = await site.paths(1)
    const [name = ''] = await site.enqueue([path])
    const to = `s3://bucket?endpoint=127.0.0.1:${server.port}&scheme=http&region=eu-west-1`
    const env = { AWS_EC2_METADATA_DISABLED: 'true' }
    const config = await site.configured(`[[destination]]\nto = "${to}"\nvia = "nix"\n`)
    const drained = await site.run(['drain', ...config], { env })
    if (hasS3(version)) {
      expect(drained).toMatchObject({ exitCode: 0 })
      expect(site.isCached(path, join(server.dir, 'bucket'))).toBe(true)
      return
    }
    expect(drained.exitCode).toBe(75)
    const { attempts, error } = await site.delivery('new', name)
    expect(attempts).toBe(0)
    expect(error).toContain('built without S3')
    expect(error).toContain(version.version)
  })
})

test('by way of a SOCKS proxy nix-upload refuses to go, and Nix goes; doctor says the same', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [cache, proxy] = await Promise.all([
    startMoodyCache(),
    startServer('microsocks', async (port) => ['-i', '127.0.0.1', '-p', `${port}`]),
  ])
  onTestFinished(() => Promise.all([cache.cleanup(), proxy.stop()]).then(() => undefined))
  const [path = ''] = await site.paths(1)
  await site.enqueue([path])
  const env = { all_proxy: `socks5h://127.0.0.1:${proxy.port}`, no_proxy: '' }
  const says = /all_proxy names a proxy at socks5h:.*via = "nix"/
  const destination = `[[destination]]\nto = "${cache.url}"\n`

  const ours = await site.configured(destination)
  const refused = await site.run(['drain', ...ours], { env })
  expect(refused.exitCode).toBe(78)
  expect(refused.stderr).toMatch(says)
  expect((await site.run(['doctor', ...ours], { env })).stdout).toMatch(says)

  const byNix = await site.configured(`${destination}via = "nix"\n`)
  const delivered = await site.run(['drain', ...byNix], { env })
  expect(delivered.exitCode, delivered.stderr).toBe(0)
  expect(site.isCached(path, cache.dir)).toBe(true)
  expect((await site.run(['doctor', ...byNix], { env })).stdout).toMatch(/^ok +destination default: /m)
})
