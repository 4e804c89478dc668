// Keys and passwords are handed on as names of files. While uploads succeed and fail, whatever a local user or a log
// reader could see is searched for what is in those files.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { descendantsOf } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'

const PASSWORD = 'hunter2-correct-horse'

test('what is in key files and netrc is on no command line, in no environment, log, job, report or message', {
  timeout: 90_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startMoodyCache({ login: { user: 'me', password: PASSWORD } })
  onTestFinished(() => cache.cleanup())
  const { secretKeyFile } = await site.nix.keyPair('cache.example-1')
  const netrc = join(site.nix.dir, 'netrc')
  const wrong = join(site.nix.dir, 'wrong-netrc')
  writeFileSync(netrc, `machine 127.0.0.1 login me password ${PASSWORD}\n`)
  writeFileSync(wrong, `machine 127.0.0.1 login me password wrong-${PASSWORD}\n`)
  const mangled = join(site.nix.dir, 'mangled-key')
  const key = readFileSync(secretKeyFile, 'utf8').trim()
  writeFileSync(mangled, `${key.slice(0, -8)}\n`)
  const secrets = [PASSWORD, key.split(':')[1]?.slice(0, 40) ?? '']
  const destination = (name: string, keyFile: string, netrcFile: string) =>
    `[[destination]]\nname = "${name}"\nto = "${cache.url}"\nsecret-key-file = "${keyFile}"\nnetrc-file = "${netrcFile}"\n` +
    'verify = true\nretry-min = "100ms"\nretry-max = "200ms"\n'
  const config = await site.configured(
    destination('good', secretKeyFile, netrc) +
      destination('refused', secretKeyFile, wrong) +
      destination('keyless', mangled, netrc),
  )

  const seen = new Set<string>()
  const daemon = await site.watch(config)
  const spy = setInterval(() => {
    for (const pid of [daemon.pid, ...descendantsOf(daemon.pid)])
      for (const what of ['cmdline', 'environ']) seen.add(read(`/proc/${pid}/${what}`))
  }, 3)
  await site.enqueue(await site.paths(3))
  await daemon.says('"delivered"', 40_000)
  const down = () => daemon.log.filter((line) => line.includes('the destination is down'))
  for (const name of ['refused', 'keyless']) {
    await expect.poll(() => down().some((line) => line.includes(`"${name}"`)), { timeout: 40_000 }).toBe(true)
  }
  const outputs = [
    ['status'],
    ['status', '--json'],
    ['list', '--json'],
    ['show', site.names('cur')[0] ?? '', '--json'],
  ]
  const shown = await Promise.all(outputs.map((args) => site.run([...args, ...config])))
  clearInterval(spy)
  expect(await daemon.stop()).toBe(0)

  expect(
    [...seen].some((text) => text.includes('nix')),
    'the spy saw programs',
  ).toBe(true)
  const texts = [
    ...seen,
    ...daemon.log,
    ...shown.map(({ stdout, stderr }) => stdout + stderr),
    ...filesBelow(site.spool),
  ]
  for (const secret of secrets) expect(texts.filter((text) => text.includes(secret))).toEqual([])
})

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // It has ended.
  }
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
}
