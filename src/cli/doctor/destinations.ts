import { accessSync, constants, mkdtempSync, rmdirSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import type { Destination } from '../../config/config.ts'
import { schemeOf } from '../../config/store-url.ts'
import { wordsOf } from '../../config/user-error.ts'
import { failureOf } from '../../delivery/failure.ts'
import { missingAt } from '../../nix/copy.ts'
import { filesOf } from './cache-files.ts'
import { type Check, fail, ok, type Patient, warn } from './check.ts'

/** How long a destination may take to answer. */
export const PATIENCE_MS = 20_000

const CACHE_INFO = 'nix-cache-info'

/** Does each destination answer, know us, and take what we upload? Nothing stays there of the question. */
export async function checkDestinations(patient: Patient): Promise<Check[]> {
  const checks = await Promise.all(
    patient.config.destinations.map((destination) => checkOne(patient, destination)),
  )
  return checks.flat()
}

async function checkOne({ storeDir, service }: Patient, destination: Destination): Promise<Check[]> {
  const { to, command } = destination
  const name = `destination ${destination.name}`
  const user = service.user.name
  try {
    if (command) return [program(name, command.argv[0])]
    if (schemeOf(to) === 'file') return [directory(name, to, user)]
    const files = filesOf(destination)
    if (files) return [await network(name, files, storeDir, user)]
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
  const path = to.replace(/^file:\/\//, '').replace(/\?.*/, '')
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
  files: NonNullable<ReturnType<typeof filesOf>>,
  storeDir: string,
  user: string,
): Promise<Check> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const there = await files.get(CACHE_INFO, signal)
  const storeThere = /^StoreDir: (.*)$/m.exec(there ?? '')?.[1]?.trim()
  if (storeThere !== undefined && storeThere !== storeDir) {
    return fail(
      name,
      `it is for the store ${storeThere}, and this one is ${storeDir}`,
      'Upload somewhere else',
    )
  }
  await files.put(CACHE_INFO, { text: there ?? `StoreDir: ${storeDir}\n` }, signal, () => undefined)
  if (there !== undefined) return ok(name, `answers ${user}, and can be written to`)
  await files.remove(CACHE_INFO, signal)
  return ok(name, `answers ${user}, and can be written to; it is empty yet`)
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
  if (schemeOf(to) !== 's3') return ok(name, `answers ${user}`)
  const what = `answers ${user}; whether it can be written to, only an upload tells`
  return warn(name, what, '`nix-upload enqueue` a small path, and see `nix-upload status`')
}

function can(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
