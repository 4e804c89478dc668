// A private bucket that nix-upload filled, as Nix itself reads it: the README's S3 example, end to end.

import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3'
import { beforeAll, describe, expect, test } from 'vitest'
import { makeSite } from '../integration/site.ts'
import { everyNix } from '../support/nix-versions.mjs'
import { must } from '../support/run.ts'
import { type Radosgw, startRadosgw } from '../support/servers/radosgw.ts'
import { clientOf, environmentOf, NOBODY } from '../transport/s3/s3-bed.ts'

/** From 2.33 on, Nix's own S3 client signs its requests, if it was built so; Debian's was not. */
const canSign = ({ isLix, version }: { isLix: boolean; version: string }) =>
  !isLix && Number(version.split('.')[1]) >= 35

const versions = await everyNix()
const builder = versions.findLast(canSign) ?? versions.at(-1) ?? expect.unreachable('there is a Nix')

let s3: Radosgw
beforeAll(async () => {
  s3 = await startRadosgw()
  return () => s3.stop()
})

/** A bucket filled by a drain; `sign` says with which keys: in our configuration, in nix.conf, or in both. */
async function filled(Bucket: string, sign: readonly ('ours' | 'nix')[]) {
  const client = clientOf(s3.endpoint, s3.alice)
  await client.send(new CreateBucketCommand({ Bucket }))
  const site = await makeSite(builder)
  await site.makeSpool()
  const [ours, nix] = [await site.nix.keyPair('ours-1'), await site.nix.keyPair('nix-1')]
  if (sign.includes('nix')) {
    await appendFile(join(site.nix.confDir, 'nix.conf'), `\nsecret-key-files = ${nix.secretKeyFile}\n`)
  }
  const { outPaths } = await site.nix.build({ name: 'app', deps: [{ name: 'library' }] })
  await site.enqueue(outPaths)
  const to = `s3://${Bucket}?region=eu-west-1&endpoint=${s3.endpoint}`
  const key = sign.includes('ours') ? `secret-key-file = "${ours.secretKeyFile}"\n` : ''
  const config = await site.configured(`[[destination]]\nto = "${to}"\n${key}`)
  expect(await site.run(['drain', ...config], { env: environmentOf(s3.alice) })).toMatchObject({
    exitCode: 0,
  })
  return { site, client, to, outPaths, ours, nix }
}

describe.each([builder].filter(canSign))('$name, which signs its requests', () => {
  test.each([
    { bucket: 'ours', sign: ['ours'] as const, trusted: ['ours'], refused: ['nix'] },
    { bucket: 'nix', sign: ['nix'] as const, trusted: ['nix'], refused: ['ours'] },
    { bucket: 'both', sign: ['ours', 'nix'] as const, trusted: ['ours', 'nix'], refused: [] },
  ])(
    'substitutes from a private bucket signed by $sign, and by no other key',
    async (row) => {
      const { site, to, outPaths, ...keys } = await filled(`by-${row.bucket}`, row.sign)
      const keyOf = (name: string) => (name === 'ours' ? keys.ours : keys.nix).publicKey
      const as = (user: typeof s3.alice, name: string) =>
        // Whoever fetches has a nix.conf of their own: a Nix trusts the keys that it signs with.
        site.nix.substituteFrom(to, outPaths, keyOf(name), {
          ...environmentOf(user),
          NIX_CONF_DIR: '/nowhere',
        })
      for (const name of row.trusted) must(await as(s3.alice, name), `substitute what ${name} signed`)
      for (const name of row.refused) expect((await as(s3.alice, name)).exitCode, name).not.toBe(0)
      expect((await as(NOBODY, row.trusted[0] ?? '')).exitCode).not.toBe(0)
    },
    120_000,
  )
})

test('the same bucket is read over http by every Nix, where it lets anybody read', async () => {
  const { site, client, outPaths, ours } = await filled('public', ['ours'])
  const Statement = [
    { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::public/*' },
  ]
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
  await client.send(new PutBucketPolicyCommand({ Bucket: 'public', Policy }))
  for (const { name, bin } of versions) {
    // The same machine, with the programs of another Nix.
    const PATH = `${bin}:${site.nix.env.PATH}`
    const fetched = await site.nix.substituteFrom(`${s3.endpoint}/public`, outPaths, ours.publicKey, { PATH })
    must(fetched, `substitute with ${name}`)
  }
}, 120_000)
