import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename } from 'node:path'
import type { Destination } from '../../config/config.ts'
import { isCredential } from '../../config/credential.ts'
import { isBinaryCache } from '../../config/store-url.ts'
import { publicKeyOf, readSecretKeys, severalKeysProblem } from '../../nix/secret-key.ts'
import { signingKeysOfNix } from '../../nix/settings.ts'
import { keyFilesOf } from '../../nix/upload-url.ts'
import { readPlainFile } from '../../util/plain-file.ts'
import { codeOf, UserError, wordsOf } from '../../util/user-error.ts'
import { type Check, fail, inUnit, ok, type Patient, quoted, toType, warn } from './check.ts'

/** Can the service read its key, is it a key, and which public key must users trust? */
export async function checkKeys({ config, service }: Patient): Promise<Check[]> {
  const ofNix = await signingKeysOfNix()
  return config.destinations.flatMap((destination) => [
    ...keyOf(destination, service.user.name, ofNix),
    ...netrcOf(destination, service.user.name),
  ])
}

/** @param ofNix The key files that Nix itself signs its builds with (`secret-key-files` in nix.conf). */
function keyOf(destination: Destination, user: string, ofNix: readonly string[]): Check[] {
  const { command, to } = destination
  const name = `key of ${destination.name}`
  const files = keyFilesOf(destination)
  if (files.length === 0) {
    if (command || !isBinaryCache(to)) return []
    if (ofNix.length > 0) {
      const keys = ofNix.map(publicKeyOrFile).join(' and ')
      const what = `none here: Nix signs its builds with ${keys} (secret-key-files), and fetched paths keep their signatures`
      return [ok(name, what)]
    }
    const what = 'none: uploads are not signed, and Nix takes no unsigned paths from a cache'
    const file = `/etc/nix-upload/${destination.name}.key`
    const why = `Make a pair, then secret-key-file = "${file}" in the configuration`
    return [warn(name, what, toType(why, ...newPair(file, user)))]
  }
  return files.map((file) => checkKeyFile(name, file, destination, user))
}

function checkKeyFile(name: string, file: string, { via }: Destination, user: string): Check {
  const lost = missingCredential(name, file)
  if (lost) return lost
  try {
    const keys = readSecretKeys(file).map(({ publicKey }) => publicKey)
    if (keys.length > 1 && via === 'nix') {
      return fail(name, severalKeysProblem(file), 'Put each into a file of its own')
    }
    const isOpen = (statSync(file).mode & 0o004) !== 0
    if (!isOpen) return ok(name, `users trust ${keys.join(' or ')}`)
    const what = `every user of this machine can read ${file}, and could sign for this cache`
    return warn(name, what, toType('Hide it from others', ...handOver(file, user)))
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return fail(name, error.message, remedyFor(file, user))
  }
}

function remedyFor(file: string, user: string): string {
  const code = codeOfReading(file)
  if (code === 'ENOENT') return toType('Make a pair', ...newPair(file, user))
  if (code === undefined)
    return toType(
      'Name the right file in secret-key-file; or, to write a new key there',
      ...newPair(file, user),
    )
  const orElse = '\nOr let root own it, and pass it as a credential (docs/SYSTEMD.md, Secrets)'
  if (!isOutOfReach(file)) return toType(`Give it to ${user}`, ...handOver(file, user)) + orElse
  const copy = `/etc/nix-upload/${basename(file)}`
  const why = `${user} may not enter its directory. Copy it, then secret-key-file = "${copy}" in the configuration`
  return toType(why, `install -D -o ${user} -m 400 ${quoted(file)} ${quoted(copy)}`) + orElse
}

function newPair(file: string, user: string): string[] {
  const pair = `nix-store --generate-binary-cache-key ${hostname()}-1 ${quoted(file)} ${quoted(publicFileOf(file))}`
  return [pair, ...handOver(file, user)]
}

function publicFileOf(file: string): string {
  return `${file.replace(/\.(key|private|secret)$/, '')}.pub`
}

function handOver(file: string, user: string): string[] {
  return [`chown ${user} ${quoted(file)}`, `chmod 400 ${quoted(file)}`]
}

/** If even its attributes can't be read, a directory above it is closed. */
function isOutOfReach(file: string): boolean {
  try {
    statSync(file)
    return false
  } catch (error) {
    return codeOf(error) === 'EACCES'
  }
}

function codeOfReading(file: string): string | undefined {
  try {
    readPlainFile(file)
    return undefined
  } catch (error) {
    return codeOf(error)
  }
}

/** We need not be able to read root's key. */
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
    readPlainFile(netrcFile)
    return [ok(name, `${netrcFile} can be read`)]
  } catch (error) {
    const what = `netrc-file can't be read by ${user}: ${wordsOf(error)}`
    return [fail(name, what, toType(`Give it to ${user}`, ...handOver(netrcFile, user)))]
  }
}

/** If the checks run as the service, its credentials are in place already. */
function missingCredential(name: string, file: string): Check | undefined {
  if (!isCredential(file)) return undefined
  const [, credential = ''] = file.split(':')
  const what = `"${file}" is a credential, but the service has none of that name`
  return fail(name, what, inUnit('Name its file', `LoadCredential=${credential}:/path/of/the/key`))
}
