import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { loadConfig, type Overrides } from '../../src/config/load.ts'
import { EXIT, UserError } from '../../src/util/user-error.ts'
import { tempDir } from '../spool/temp-spool.ts'

/** What a person is told who has this in the file; `FILE` stands for its path. */
export async function complaint(
  toml: string,
  overrides: Overrides = {},
  exitCode: number = EXIT.badConfig,
): Promise<string> {
  const config = join(tempDir(), 'config.toml')
  writeFileSync(config, toml)
  return complaintOf(() => loadConfig({ config, ...overrides }, {}), exitCode).then((text) =>
    text.replaceAll(config, 'FILE'),
  )
}

/** What a person is told where this fails. */
export async function complaintOf(
  load: () => Promise<unknown>,
  exitCode: number = EXIT.badConfig,
): Promise<string> {
  const error = await load().then(
    () => new Error('it is valid'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof UserError)) throw error
  expect(error.exitCode).toBe(exitCode)
  return error.message
}
