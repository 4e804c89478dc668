import { readFileSync, statSync } from 'node:fs'
import type { Destination } from '../../config/config.ts'
import { isCredential } from '../../config/credential.ts'
import { isBinaryCache } from '../../config/store-url.ts'
import { publicKeyOf } from '../../nix/secret-key.ts'
import { signingKeysOfNix } from '../../nix/settings.ts'
import { UserError, wordsOf } from '../../util/user-error.ts'
import { type Check, fail, ok, type Patient, warn } from './check.ts'

/** Can the service read what it signs with, is that a key, and what would users trust? */
export async function checkKeys({ config, service }: Patient): Promise<Check[]> {
  const ofNix = await signingKeysOfNix()
  return config.destinations.flatMap((destination) => [
    ...keyOf(destination, service.user.name, ofNix),
    ...netrcOf(destination, service.user.name),
  ])
}

/** @param ofNix The files of the keys that Nix itself signs with what it builds (`secret-key-files` in nix.conf). */
function keyOf(destination: Destination, user: string, ofNix: readonly string[]): Check[] {
  const { secretKeyFile, command, to } = destination
  const name = `key of ${destination.name}`
  if (secretKeyFile === undefined) {
    if (command || !isBinaryCache(to)) return []
    if (ofNix.length > 0) {
      const keys = ofNix.map(publicKeyOrFile).join(' and ')
      const what = `none here: Nix signs what it builds with ${keys} (secret-key-files), and what it fetched keeps its signatures`
      return [ok(name, what)]
    }
    const what = 'none: uploads are not signed, and Nix takes unsigned paths from no cache'
    return [
      warn(name, what, '`nix-upload init` makes a key pair; then secret-key-file = "…" in the configuration'),
    ]
  }
  const lost = missingCredential(name, secretKeyFile)
  if (lost) return [lost]
  try {
    const publicKey = publicKeyOf(secretKeyFile)
    const isOpen = (statSync(secretKeyFile).mode & 0o004) !== 0
    if (!isOpen) return [ok(name, `users trust ${publicKey}`)]
    const what = `every user of this machine can read ${secretKeyFile}, and so sign in the name of this cache`
    return [warn(name, what, `chmod 400 ${secretKeyFile}`)]
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    const remedy = !canRead(secretKeyFile)
      ? `chown ${user} ${secretKeyFile}; chmod 400 ${secretKeyFile}. Or leave it root's, and hand it over as a credential (docs/SYSTEMD.md, Secrets)`
      : `Put the secret half of a pair there: nix-store --generate-binary-cache-key NAME ${secretKeyFile} PUBLIC-FILE`
    return [fail(name, error.message, remedy)]
  }
}

function canRead(file: string): boolean {
  try {
    readFileSync(file)
    return true
  } catch {
    return false
  }
}

/** root's key need not be readable by us. */
function publicKeyOrFile(file: string): string {
  try {
    return publicKeyOf(file)
  } catch (error) {
    if (error instanceof UserError) return file
    throw error
  }
}

function netrcOf({ name: destination, netrcFile }: Destination, user: string): Check[] {
  if (netrcFile === undefined) return []
  const name = `login of ${destination}`
  const lost = missingCredential(name, netrcFile)
  if (lost) return [lost]
  try {
    readFileSync(netrcFile)
    return [ok(name, `${netrcFile} can be read`)]
  } catch (error) {
    const what = `netrc-file can't be read by ${user}: ${wordsOf(error)}`
    return [fail(name, what, `chown ${user} ${netrcFile}; chmod 400 ${netrcFile}`)]
  }
}

/** Where the service is looked at as it would be started, its credentials have been put in their places already. */
function missingCredential(name: string, file: string): Check | undefined {
  if (!isCredential(file)) return undefined
  const [, credential = ''] = file.split(':')
  const what = `"${file}" is a credential, and the service gets none of that name`
  return fail(
    name,
    what,
    `systemctl edit nix-upload.service: [Service], LoadCredential=${credential}:/path/of/the/key`,
  )
}
