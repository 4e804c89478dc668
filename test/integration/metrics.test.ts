import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { visibleIn } from '../daemon/page/visible.ts'
import { runProgram } from '../support/run.ts'
import { freePort } from '../support/servers/server-process.ts'
import { until } from './daemon.ts'
import { makeSite } from './site.ts'

test('the daemon writes its metrics into a file and serves them, and at its end says that it is gone', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const directory = join(site.nix.dir, 'textfile')
  const file = join(directory, 'nix-upload.prom')
  mkdirSync(directory)
  const port = await freePort()
  const args = await site.configured(`metrics-file = "${file}"\nmetrics-listen = "127.0.0.1:${port}"\n`)
  const path = await site.nix.addToStore('large', 'x'.repeat(100_000))
  await site.hook([path])
  const daemon = await site.watch(args)
  await site.settle('done', 1)
  const served = async () => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  // The figures are some seconds old at most.
  await until(
    async () => (await served()).includes('nix_upload_jobs{state="done"} 1'),
    'the job in the metrics',
  )
  const text = await served()
  expect(text).toContain('nix_upload_running{mode="watch"} 1')
  expect(text).toContain('nix_upload_deliveries_total{destination="default",result="delivered"} 1')
  expect(text).toContain('nix_upload_batch_duration_seconds_count{destination="default"} 1')
  const narinfo = site.narinfo(path)
  const [, archiveBytes] = /^FileSize: (\d+)$/m.exec(narinfo) ?? []
  const sentBytes = narinfo.length + Number(archiveBytes)
  expect(text).toContain(`\nnix_upload_sent_bytes_total{destination="default"} ${sentBytes}\n`)
  expect(await runProgram('promtool', ['check', 'metrics'], { input: text })).toMatchObject({ exitCode: 0 })
  const page = await (await fetch(`http://127.0.0.1:${port}/`)).text()
  expect(page).toContain('<h1>Nothing waits.</h1>')
  expect(visibleIn(page)).toMatch(/^Daemon running, process \d+, for/m)
  expect(readFileSync(file, 'utf8')).toContain('nix_upload_running{mode="watch"} 1')
  expect(await daemon.stop()).toBe(0)
  const last = readFileSync(file, 'utf8')
  expect(last).toContain('nix_upload_running{mode="watch"} 0')
  expect(last).toContain('nix_upload_jobs{state="done"} 1')
  expect(readdirSync(directory)).toEqual(['nix-upload.prom'])
})

test('metrics that can neither be written nor served keep nothing from being uploaded', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const file = join(site.nix.dir, 'nowhere/nix-upload.prom')
  const args = await site.configured(`metrics-file = "${file}"\nmetrics-listen = "192.0.2.1:9850"\n`)
  const [path = ''] = await site.paths(1)
  await site.hook([path])
  const daemon = await site.watch(args)
  await daemon.says('uploads go on without')
  await site.settle('done', 1)
  expect(await daemon.stop()).toBe(0)
  expect(existsSync(file)).toBe(false)
})
