import { chmodSync, linkSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from '../util/run-program.ts'
import { unlessFailed } from './failure.ts'

const SECRET_MODE = 0o600

/** True for a valid key name: Nix puts a colon after it. */
export function isKeyName(name: string): boolean {
  return /^[^\s:\p{Cc}]+$/u.test(name)
}

/**
 * Makes a key pair for signing. The secret half is never readable for others, not even for a moment, and replaces no
 * file.
 * @returns The public half, as `trusted-public-keys` wants it.
 * @throws {NixFailure} if Nix failed; a system error if the file exists, or can't be created.
 */
export async function makeKeyPair(name: string, secretKeyFile: string): Promise<string> {
  const directory = mkdtempSync(join(dirname(secretKeyFile), '.nix-upload-key-'))
  try {
    const [secret, open] = [join(directory, 'secret'), join(directory, 'public')]
    unlessFailed(await run('nix-store', ['--generate-binary-cache-key', name, secret, open]))
    chmodSync(secret, SECRET_MODE)
    linkSync(secret, secretKeyFile)
    return readFileSync(open, 'utf8').trim()
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
