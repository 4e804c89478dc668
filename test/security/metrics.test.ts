// What other users of the machine learn from the metrics and the page, and what they can do to a daemon that has some.

import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { freePort } from '../support/servers/server-process.ts'

const DOWN = 'http://down.example.invalid/secret-place'

/** A daemon with metrics, one destination that is up and one that is down, and a job. */
async function siteWithMetrics(more = '') {
  const site = await makeSite()
  await site.makeSpool()
  const port = await freePort()
  const directory = join(site.nix.dir, 'textfile')
  mkdirSync(directory)
  chmodSync(directory, 0o1777)
  const file = join(directory, 'nix-upload.prom')
  const toml =
    `metrics-listen = "127.0.0.1:${port}"\nmetrics-file = "${file}"\n` +
    `[[destination]]\nname = "up"\nto = "file://${site.cache}"\n` +
    `[[destination]]\nname = "down"\nto = "${DOWN}"\n${more}`
  const [path = ''] = await site.paths(1, 'of-a-secret-project')
  const names = await site.enqueue([path])
  const served = (url = '/metrics', init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${url}`, init)
  return { site, port, directory, file, args: await site.configured(toml), path, names, served }
}

test('they hold counts, times and names of destinations: no paths, jobs, places, keys or errors', async () => {
  const { secretKeyFile } = await (await makeSite()).nix.keyPair('cache.example-1')
  const more = `secret-key-file = "${secretKeyFile}"\n`
  const { site, args, path, names, file, served } = await siteWithMetrics(more)
  const daemon = await site.watch(args)
  await daemon.says('the destination is down', 40_000)
  const text = async () => await (await served()).text()
  await until(async () => (await text()).includes('destination_up{destination="down"} 0'), 'it to be told')
  const texts = [await text(), readFileSync(file, 'utf8')]
  const secrets = [path, 'of-a-secret-project', ...names, DOWN, site.cache, site.spool, secretKeyFile]
  for (const secret of [...secrets, 'cache.example-1', 'getaddrinfo', 'ENOTFOUND'])
    for (const one of texts) expect(one).not.toContain(secret)
  // All that stands beside a number.
  const labels = texts.flatMap((one) => [...one.matchAll(/\{(.*?)\}/g)].map(([, label = '']) => label))
  const harmless = /^((destination="(up|down)"|(state|mode|result|version)="[\w.-]+"|le="[\d.+Inf]+"),?)+$/
  expect(labels.filter((label) => !harmless.test(label))).toEqual([])
})

test('the page holds what `status` tells any local user, and nothing of keys, nor of jobs that nothing is wrong with', async () => {
  const { secretKeyFile } = await (await makeSite()).nix.keyPair('cache.example-1')
  const { site, args, path, names, served } = await siteWithMetrics(`secret-key-file = "${secretKeyFile}"\n`)
  await site.watch(args)
  const text = async () => (await (await served('/').catch(() => undefined))?.text()) ?? ''
  await until(async () => (await text()).includes('down is down'), 'it to be told')
  const page = await text()
  for (const shown of [DOWN, site.cache, site.spool]) expect(page).toContain(shown)
  const secrets = [path, 'of-a-secret-project', ...names, secretKeyFile, 'cache.example-1']
  for (const secret of secrets) expect(page).not.toContain(secret)
})

test('a request changes nothing, whatever it asks', async () => {
  const { site, args, served } = await siteWithMetrics()
  await site.watch(args)
  await until(async () => (await served().catch(() => undefined))?.status === 200, 'the metrics')
  const before = readdirSync(site.spool).filter((name) => name !== 'stage')
  const there = ['/', '/?pause', `/metrics?${'x'.repeat(8000)}`]
  for (const url of [...there, '/../../etc/passwd', '/metrics/../new', '/pause'])
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
      const { status } = await served(url, { method, ...(method === 'GET' ? {} : { body: 'paused' }) })
      const isThere = method === 'GET' ? 200 : 405
      expect(status, `${method} ${url}`).toBe(there.includes(url) ? isThere : 404)
    }
  expect(readdirSync(site.spool).filter((name) => name !== 'stage')).toEqual(before)
})

test('who opens connections without end takes no file handles away from uploads', async () => {
  const { site, args, port, served } = await siteWithMetrics()
  const daemon = await site.watch(args)
  await until(async () => (await served().catch(() => undefined))?.status === 200, 'the metrics')
  const handles = () => readdirSync(`/proc/${daemon.pid}/fd`).length
  const before = handles()
  const sockets: Socket[] = []
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (let at = 0; at < 500; at++) sockets.push(connect(port, '127.0.0.1').on('error', () => undefined))
  await until(() => sockets.filter(({ closed }) => closed).length > 400, 'most to be sent away')
  expect(handles()).toBeLessThan(before + 100)
  const [path = ''] = await site.paths(1)
  await site.enqueue([path])
  await until(() => site.isCached(path), 'an upload beside them')
  for (const socket of sockets) socket.destroy()
  await until(async () => (await served().catch(() => undefined))?.status === 200, 'the metrics to be back')
})

test('what is planted in the directory of the file is not followed, and nobody else may write to it, whatever the umask', async () => {
  const { site, args, directory, file } = await siteWithMetrics()
  const victim = join(site.nix.dir, 'victim')
  writeFileSync(victim, 'precious')
  // Names that somebody could guess; the number is the daemon's own.
  const names = `${file} ${file}.$$ ${file}.tmp ${directory}/.nix-upload.prom`
  const plant = `umask 0; for name in ${names}; do ln -s ${victim} $name; done; exec "$0" "$@"`
  const daemon = site.start(['watch', ...args], ['sh', '-c', plant])
  await until(() => existsSync(file) && lstatSync(file).isFile(), 'the metrics')
  expect(await daemon.stop()).toBe(0)
  expect(readFileSync(victim, 'utf8')).toBe('precious')
  expect(readFileSync(file, 'utf8')).toContain('nix_upload_running{mode="watch"} 0')
  expect(statSync(file).mode & 0o777).toBe(0o644)
})
