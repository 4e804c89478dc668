import { chmodSync, linkSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from '../util/run-program.ts'
import { unlessFailed } from './failure.ts'

const SECRET_MODE = 0o600

/** True for what a key can be called: Nix puts a colon behind it. */
export function isKeyName(name: string): boolean {
  return /^[^\s:\p{Cc}]+$/u.test(name)
}

/**
 * Makes a key pair for signing. The secret half is nowhere readable for others, not for a moment, and takes no file's
 * place.
 * @returns The public half, as `trusted-public-keys` wants it.
 * @throws {NixFailure} where Nix couldn't; a system error where the file is there, or can't be.
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
