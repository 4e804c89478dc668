// What the tests of `exec` have in common.

import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NIX_UPLOAD, type Site } from '../../integration/site.ts'
import { allOutputs, type Derivation, expressionFor } from '../../support/derivation.ts'
import type { RunOptions, RunResult } from '../../support/run.ts'

/** A command line that builds, as a CI job would have it. */
export async function building(site: Site, what: Derivation | string): Promise<string[]> {
  const file = join(site.nix.dir, `${Math.random()}.nix`)
  await writeFile(file, allOutputs(expressionFor(what)))
  return ['nix-build', '--no-out-link', file]
}

/** Runs `nix-upload exec`, with no setting of ours in the environment. */
export function exec(
  site: Site,
  args: string[],
  command: string[],
  { before = [], ...options }: RunOptions & { before?: string[] } = {},
): Promise<RunResult> {
  const { NIX_UPLOAD_SPOOL: _, ...env } = site.env
  const [program = '', ...rest] = [...before, NIX_UPLOAD, 'exec', ...args, '--', ...command]
  return site.nix.run(program, rest, { cwd: '/', ...options, env: { ...env, ...options.env } })
}

/** The workspaces that an `exec` left in the directory for temporary files. */
export function leftIn(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.startsWith('nix-upload-exec-'))
}

/** The GC-root directories that an `exec` left. */
export function rootsLeft(site: Site): string[] {
  const names = readdirSync(site.nix.gcrootsDir, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.includes('nix-upload-exec-'))
}
