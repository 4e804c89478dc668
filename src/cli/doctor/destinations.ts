import { accessSync, constants, mkdtempSync, rmdirSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { CACHE_INFO } from '../../cache/cache-info.ts'
import { contentTypeOf } from '../../cache/content-type.ts'
import type { Destination } from '../../config/config.ts'
import { fileOf, isNetworkCache, schemeOf } from '../../config/store-url.ts'
import { failureOf } from '../../delivery/failure.ts'
import { missingAt } from '../../nix/copy.ts'
import { networkSettings } from '../../nix/network-settings.ts'
import { createTransport } from '../../transport/create-transport.ts'
import { proxyRefusal } from '../../transport/proxy-refusal.ts'
import { wordsOf } from '../../util/user-error.ts'
import { type Check, fail, ok, type Patient, warn } from './check.ts'

/** How long a destination may take to answer. */
export const PATIENCE_MS = 20_000

/** Does each destination answer, know us, and take what we upload? Nothing stays there of the question. */
export async function checkDestinations(patient: Patient): Promise<Check[]> {
  const checks = await Promise.all(
    patient.config.destinations.map((destination) => checkOne(patient, destination)),
  )
  return checks.flat()
}

async function checkOne({ storeDir, service }: Patient, destination: Destination): Promise<Check[]> {
  const { to, command, via } = destination
  const name = `destination ${destination.name}`
  const user = service.user.name
  try {
    if (command) return [program(name, command.argv[0])]
    if (schemeOf(to) === 'file') return [directory(name, to, user)]
    // What Nix uploads to is asked as we would ask, which tells more, unless only Nix gets there.
    const isReached = via === 'writer' || proxyRefusal(to) === undefined
    if (isNetworkCache(to) && isReached) return await network(name, destination, storeDir, user)
    return [await anyStore(name, destination, storeDir, user)]
  } catch (error) {
    const message = failureOf(error)?.verdict.message ?? wordsOf(error)
    const remedy = `Mend that; the same by hand: runuser -u ${user} -- nix store ping --store '${to}'`
    return [fail(name, `${to}: ${message}`, remedy)]
  }
}

function program(name: string, file: string): Check {
  const directories = (process.env.PATH ?? '').split(delimiter)
  const places = file.includes('/') ? [file] : directories.map((place) => join(place, file))
  const found = places.find((place) => can(place, constants.X_OK) && statSync(place).isFile())
  if (found !== undefined)
    return ok(name, `${found} is there; whether it gets anywhere, only an upload tells`)
  return fail(
    name,
    `there is no program ${file} on the PATH of the service`,
    'Install it, or give its whole path',
  )
}

/** A cache in a directory is made by the first upload. */
function directory(name: string, to: string, user: string): Check {
  const path = fileOf(to)
  const existing = nearest(path)
  try {
    rmdirSync(mkdtempSync(join(existing, '.nix-upload-doctor-')))
  } catch (error) {
    const remedy = `As root: install -d -o ${user} ${path}, and ReadWritePaths=${path} in the unit (systemctl edit nix-upload.service)`
    return fail(name, `${user} can't write there: ${wordsOf(error)}`, remedy)
  }
  return ok(
    name,
    existing === path ? `${path} can be written to` : `${path} is not there yet, and can be made`,
  )
}

function nearest(path: string): string {
  return statSync(path, { throwIfNoEntry: false }) || path === '/' ? path : nearest(dirname(path))
}

/**
 * Writes `nix-cache-info` as it is there already, which changes nothing. Where there is none, this cache is new, and
 * it is what the first upload would write.
 */
async function network(
  name: string,
  { to, netrcFile }: Destination,
  storeDir: string,
  user: string,
): Promise<Check[]> {
  const checks: Check[] = []
  const onWarning = (message: string) => {
    checks.push(warn(name, message, `Give ${user} the right to read there, too`))
  }
  const transport = createTransport({
    to,
    netrcFile,
    network: networkSettings,
    progressTimeoutMs: PATIENCE_MS,
    onWarning,
  })
  const signal = AbortSignal.timeout(PATIENCE_MS)
  try {
    const there = await transport.get(CACHE_INFO, signal)
    const storeThere = /^StoreDir: (.*)$/m.exec(there ?? '')?.[1]?.trim()
    if (storeThere !== undefined && storeThere !== storeDir) {
      return [
        fail(name, `it is for the store ${storeThere}, and this one is ${storeDir}`, 'Upload somewhere else'),
      ]
    }
    const body = Buffer.from(there ?? `StoreDir: ${storeDir}\n`)
    await transport.put(
      { name: CACHE_INFO, contentType: contentTypeOf(CACHE_INFO), body },
      signal,
      () => undefined,
    )
    const isNew = there === undefined ? '; it was empty, and has its nix-cache-info now' : ''
    return [ok(name, `answers ${user}, and can be written to${isNew}`), ...checks]
  } catch (error) {
    if (!signal.aborted) throw error
    const what = `${to} does not answer ${user} within ${PATIENCE_MS / 1000} s`
    return [fail(name, what, 'Check its address, the network and the proxy')]
  } finally {
    transport.close()
  }
}

/** What only Nix can talk to is asked whether it has a path that nobody has. */
async function anyStore(
  name: string,
  { to, netrcFile }: Destination,
  storeDir: string,
  user: string,
): Promise<Check> {
  const nobodys = `${storeDir}/${'0'.repeat(32)}-nix-upload-doctor`
  const store = { to, netrcFile, silenceMs: PATIENCE_MS }
  await missingAt(store, [nobodys], AbortSignal.timeout(3 * PATIENCE_MS))
  return ok(name, `answers ${user}`)
}

function can(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
