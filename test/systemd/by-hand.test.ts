// What docs/SYSTEMD.md and docs/MONITORING.md have typed by hand, typed as it is printed, on a machine that lacks what many do.

import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { must } from '../support/run.ts'
import { Machine } from './machine.ts'

let machine: Machine

beforeAll(async () => {
  machine = await Machine.make({ units: false })
  for (const name of ['sysusers.d', 'tmpfiles.d'])
    rmSync(join(machine.root, 'etc', name), { recursive: true, force: true })
  // It is asked for nothing but where it installs.
  machine.write(
    'usr/local/bin/npm',
    '#!/bin/sh\n[ "$*" = "root --global" ] && echo /usr/local/lib/node_modules\n',
    0o755,
  )
  machine.write('etc/nix/nix.conf', 'sandbox = false\nsubstituters =\n')
  await machine.boot()
}, 300_000)

afterAll(() => machine?.discard())

/** The blocks of a language below a heading, in their order. */
function blocks(page: string, heading: string, language: string): string[] {
  const text = readFileSync(join(import.meta.dirname, '../../docs', page), 'utf8')
  const [, after = ''] = text.split(`\n## ${heading}\n`)
  const [section = ''] = after.split('\n## ')
  return [...section.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, block = '']) => block,
  )
}

async function type(block: string | undefined): Promise<void> {
  must(await machine.shell(`set -e\n${block ?? 'exit 1'}`), `type ${block}`)
}

const [daemonMode, pathMode] = blocks('SYSTEMD.md', 'The two modes', 'sh')
const isActive = async (unit: string) => (await machine.run('systemctl', ['is-active', unit])).stdout.trim()
const PATH_MODE = ['nix-upload-drain.path', 'nix-upload-drain.timer']

test('the installation', async () => {
  const [install] = blocks('SYSTEMD.md', 'Install', 'sh')
  await type(install)
  await type('usermod --append --groups nix-users nix-upload')
  machine.write(
    'etc/nix-upload/config.toml',
    'metrics-file = "/var/lib/prometheus/node-exporter/nix-upload.prom"\n',
  )
  await type(daemonMode)
  expect(await isActive('nix-upload.service')).toBe('active')
})

test('metrics for node_exporter, whose directory is root’s', { timeout: 60_000 }, async () => {
  await type('mkdir -p /var/lib/prometheus/node-exporter')
  for (const block of blocks('MONITORING.md', 'Metrics', 'sh')) await type(block)
  const [dropIn = ''] = blocks('MONITORING.md', 'Metrics', 'ini')
  machine.write('etc/systemd/system/nix-upload.service.d/override.conf', dropIn)
  await type('systemctl daemon-reload\nsystemctl restart nix-upload.service')
  const isWritten = async () =>
    (await machine.shell('grep -q nix_upload_running /var/lib/prometheus/node-exporter/nix-upload.prom'))
      .exitCode === 0
  await until(isWritten, 'the metrics', 30_000)
})

test('path mode, after daemon mode, is what a reboot comes up with', { timeout: 90_000 }, async () => {
  await type(pathMode)
  await machine.off('in order')
  await machine.boot()
  for (const unit of PATH_MODE) expect(await isActive(unit), unit).toBe('active')
  expect(await isActive('nix-upload.service')).toBe('inactive')
  await type(daemonMode)
  expect(await isActive('nix-upload.service')).toBe('active')
  for (const unit of PATH_MODE)
    expect((await machine.run('systemctl', ['is-enabled', unit])).stdout.trim(), unit).toBe('disabled')
})
