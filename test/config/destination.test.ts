import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Destination } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { tempDir } from '../spool/temp-spool.ts'

const S3 = '[[destination]]\nto = "s3://cache"\n'

/** The destinations that a file describes. */
async function load(toml: string): Promise<Destination[]> {
  const config = join(tempDir(), 'config.toml')
  writeFileSync(config, toml)
  return (await loadConfig({ config }, {})).destinations
}

test('several destinations keep their order and their own settings', async () => {
  const destinations = await load(`${S3}name = "a"\nbatch-size = 7\n${S3}name = "b"\n`)
  expect(destinations).toMatchObject([
    { name: 'a', batchSize: 7 },
    { name: 'b', batchSize: 500 },
  ])
})

test('a command gets the paths as arguments, or on stdin, and may do without the closure', async () => {
  const command = '[[destination]]\ncommand = ["attic", "push", "main"]\nclosure = false\n'
  const argv = ['attic', 'push', 'main']
  expect(await load(command)).toMatchObject([
    { to: 'attic push main', command: { argv, paths: 'arguments' } },
  ])
  expect(await load(`${command}paths = "stdin"`)).toMatchObject([{ command: { argv, paths: 'stdin' } }])
  expect(await load('[[destination]]\ncommand = ["s3"]\nclosure = false')).toMatchObject([{ closure: false }])
})
