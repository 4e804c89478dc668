// Runs the product's own `copy()` with a private Nix, in trouble, and tells what is made of its failure.

import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { failureOf } from '../../../src/delivery/failure.ts'
import { copy } from '../../../src/nix/copy.ts'
import { NixFailure } from '../../../src/nix/failure.ts'
import type { Blame } from '../../../src/util/verdict.ts'
import type { PrivateNix } from '../private-nix.ts'
import { executable, quoted } from './remote-nix.ts'

export interface CopyRequest {
  to: string
  paths: string[]
  /** Whether dependencies go along; they do by default. */
  closure?: boolean
  secretKeyFile?: string
  netrcFile?: string
  env?: Record<string, string>
  /** Where programs but Nix are looked for. */
  path?: string
  /** How long Nix waits for a server that says nothing; 10 by default, much more than any other needs. */
  patienceSeconds?: number
  /** After so long without a sign of life Nix is ended. */
  silenceMs?: number
  /** A command that runs the command behind it in other circumstances: see below. */
  within?: string[]
}

export interface Expected {
  blame: Blame
  permanent?: true
  /** The store path that is complained of. */
  path?: string
  /** In the message: what is wrong and what to do. */
  says: RegExp
}

const SILENCE_MS = 60_000

/**
 * Nix shall not wait for minutes to see that nothing comes, and shall say what it saw the first time. What the product
 * itself sets comes before these on the command line, and the last one counts.
 */
function impatience(seconds: number): string {
  const settings = [
    `stalled-download-timeout ${seconds}`,
    `connect-timeout ${seconds}`,
    'download-attempts 1',
  ]
  return settings.map((setting) => `--option ${setting}`).join(' ')
}

/** Uploads, as the product does. */
export async function upload(nix: PrivateNix, request: CopyRequest): Promise<void> {
  const { to, paths, secretKeyFile, netrcFile } = request
  const shim = await mkdtemp(join(nix.dir, 'shim-'))
  const command = [...(request.within ?? []), join(nix.version.bin, 'nix')].map(quoted).join(' ')
  const options = impatience(request.patienceSeconds ?? 10)
  await executable(join(shim, 'nix'), `#!/bin/sh\nexec ${command} "$@" ${options}\n`)
  const env = { ...nix.env, ...request.env, PATH: `${shim}:${request.path ?? nix.env.PATH}` }
  await withEnvironment(env, () =>
    copy(
      { to, secretKeyFile, netrcFile, silenceMs: request.silenceMs ?? SILENCE_MS },
      paths,
      request.closure ?? true,
      new AbortController().signal,
    ),
  )
}

/** Uploads what can't be uploaded, and checks whose fault it is said to be. Returns the message. */
export async function expectBlame(
  nix: PrivateNix,
  request: CopyRequest,
  expected: Expected,
): Promise<string> {
  const error = await upload(nix, request).then(
    () => new Error(`nix copy to ${request.to} succeeded`),
    (error: unknown) => error,
  )
  const { verdict, isBug } = failureOf(error) ?? {}
  if (!verdict || isBug) throw error
  const { says, path, ...rest } = expected
  const seen = error instanceof NixFailure ? error.messages.join('\n') : `${error}`
  expect(error instanceof NixFailure && error.ended, seen).toBeFalsy()
  expect(verdict, seen).toMatchObject({ permanent: false, ...rest })
  expect(verdict.message, seen).toMatch(says)
  expect(verdict.message).toMatch(/^[^\n]{40,500}$/)
  if (path !== undefined) expect(verdict.path, seen).toBe(path)
  return verdict.message
}

/** Runs something with another environment for this process, and so for the programs it starts. */
export async function withEnvironment<T>(env: Record<string, string>, action: () => Promise<T>): Promise<T> {
  const before = { ...process.env }
  Object.assign(process.env, env)
  try {
    return await action()
  } finally {
    for (const name of Object.keys(env)) {
      const value = before[name]
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}

const isRoot = process.getuid?.() === 0

/** With a small file system of its own in a directory, which nobody else sees: `size=1m`, or `ro`. */
export function withFileSystem(directory: string, options: string): string[] {
  const mount = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
  return ['unshare', isRoot ? '-m' : '-rm', 'sh', '-c', mount, 'sh', options, directory]
}

/** Without any network, not even this machine's own. */
export function withoutNetwork(): string[] {
  return ['unshare', isRoot ? '-n' : '-rn']
}

/** As a user like any other, who is stopped by permissions, even where root runs the tests. */
export function withoutPrivileges(): string[] {
  const all = '-dac_override,-dac_read_search'
  return isRoot ? ['setpriv', `--bounding-set=${all}`, `--inh-caps=${all}`] : []
}
