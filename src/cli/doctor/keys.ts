import { readFileSync, statSync } from 'node:fs'
import type { Destination } from '../../config/config.ts'
import { isCredential } from '../../config/credential.ts'
import { isBinaryCache } from '../../config/store-url.ts'
import { publicKeyOf } from '../../nix/secret-key.ts'
import { UserError, wordsOf } from '../../util/user-error.ts'
import { type Check, fail, ok, type Patient, warn } from './check.ts'

/** Can the service read what it signs with, is that a key, and what would users trust? */
export function checkKeys({ config, service }: Patient): Check[] {
  return config.destinations.flatMap((destination) => [
    ...keyOf(destination, service.user.name),
    ...netrcOf(destination, service.user.name),
  ])
}

function keyOf(destination: Destination, user: string): Check[] {
  const { secretKeyFile, command, to } = destination
  const name = `key of ${destination.name}`
  if (secretKeyFile === undefined) {
    if (command || !isBinaryCache(to)) return []
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
    const remedy = error.message.includes("can't be read")
      ? `chown ${user} ${secretKeyFile}; chmod 400 ${secretKeyFile}. Or leave it root's, and hand it over as a credential (docs/SYSTEMD.md, Secrets)`
      : `Put the secret half of a pair there: nix-store --generate-binary-cache-key NAME ${secretKeyFile} PUBLIC-FILE`
    return [fail(name, error.message, remedy)]
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
