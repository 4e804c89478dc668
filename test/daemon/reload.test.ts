import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { onReloadSignal } from '../../src/daemon/reload.ts'
import { tempDir } from '../spool/temp-spool.ts'

const TOML = 'max-rate = "2M"\n[[destination]]\nto = "s3://cache"\n'

/** A daemon that was started with this configuration, and what it logs when it gets SIGHUP. */
async function reloading(config: string, source = config) {
  writeFileSync(config, TOML)
  const running = { ...(await loadConfig({ config }, {})), source }
  const log: { msg?: string; error?: string }[] = []
  const logger = pino({ base: null }, { write: (line: string) => void log.push(JSON.parse(line)) })
  const load = () => loadConfig({ config }, {})
  onTestFinished(onReloadSignal(running, { load, setRates: () => {} }, logger))
  return async () => {
    const before = log.length
    process.emit('SIGHUP')
    await expect.poll(() => log.length).toBeGreaterThan(before)
    return log[before]
  }
}

test('a FIFO in the place of the configuration is refused, and holds up no daemon', async () => {
  const config = join(tempDir(), 'config.toml')
  const reload = await reloading(config)
  expect(await reload()).toMatchObject({ msg: expect.stringContaining('was read again') })
  rmSync(config)
  execFileSync('mkfifo', [config])
  expect(await reload()).toMatchObject({
    msg: 'the configuration was not read again; all stays as it was',
    error: `can't read the configuration: it is a FIFO, not a regular file: ${config}`,
  })
})

test('a configuration that came through a pipe is not read again: nothing would be left in it', async () => {
  const reload = await reloading(join(tempDir(), 'config.toml'), '/dev/fd/63')
  expect(await reload()).toMatchObject({
    msg: 'the configuration was not read again; all stays as it was',
    error: "/dev/fd/63 can't be read a second time; restart the daemon instead",
  })
})
