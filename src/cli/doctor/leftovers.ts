import { existsSync } from 'node:fs'
import type { Destination } from '../../config/config.ts'
import { isCredential } from '../../config/credential.ts'
import { failureOf } from '../../delivery/failure.ts'
import { publicKeyOf } from '../../nix/secret-key.ts'
import { signingKeysOfNix } from '../../nix/settings.ts'
import type { StoreObject } from '../../nix/store-server.ts'
import { StoreSession } from '../../nix/store-session.ts'
import { keyFilesOf } from '../../nix/upload-url.ts'
import type { Job } from '../../spool/job.ts'
import type { Spool } from '../../spool/layout.ts'
import { lastNames, look } from '../../spool/survey.ts'
import { own } from '../../util/own.ts'
import { wordsOf } from '../../util/user-error.ts'
import { counted } from '../print.ts'
import { type Check, fail, ok, type Patient, quoted, skipped, toType, unseen, warn } from './check.ts'
import { PATIENCE_MS } from './network-cache.ts'
import { lookUp } from './signatures.ts'

/** This many of the last jobs in done/ are checked. */
const SAMPLE = 5
/** At most this many are read to find them. */
const READ_AT_MOST = 100
/** At most this many names in done/ are read to find the last ones: a tenth of a second. */
const NAMES_AT_MOST = 100_000

/**
 * Are the paths that were delivered last still there, and signed? There is a line for each
 * destination, even if this can't be checked.
 */
export async function checkLeftovers({ config, spool }: Patient): Promise<Check[]> {
  if (!existsSync(spool.done)) {
    return config.destinations.map(({ name }) =>
      skipped(
        `signatures at ${name}`,
        'a part of the spool is missing',
        'Fix the problem of the spool first',
      ),
    )
  }
  const { names, isAll } = lastNames(spool, 'done', READ_AT_MOST, NAMES_AT_MOST)
  const where = isAll ? 'in done/' : `among ${NAMES_AT_MOST} in done/, where there are more`
  const nixSigns = (await signingKeysOfNix()).length > 0
  const checks = config.destinations.map(async (destination) => {
    const name = `signatures at ${destination.name}`
    try {
      return await checkOne({ name, spool, names, where, nixSigns }, destination)
    } catch (error) {
      const why = failureOf(error)?.verdict.message ?? wordsOf(error)
      return skipped(name, `could not be checked: ${why}`, 'Fix that, then run doctor again')
    }
  })
  return await Promise.all(checks)
}

interface Look {
  name: string
  spool: Spool
  /** The last jobs in done/, in order. */
  names: readonly string[]
  /** A phrase that says of which jobs they are the last. */
  where: string
  /** Nix signs its builds. */
  nixSigns: boolean
}

async function checkOne(look: Look, destination: Destination): Promise<Check> {
  const { name, names, where } = look
  const { name: destinationName, command } = destination
  const [secretKeyFile] = keyFilesOf(destination)
  if (command) return ok(name, `left to ${command.argv[0]}`)
  if (secretKeyFile !== undefined && isCredential(secretKeyFile)) {
    return unseen(name, 'the key is a credential, which only the service has')
  }
  if (secretKeyFile === undefined && !look.nixSigns) {
    return skipped(
      name,
      'uploads there are not signed',
      'To sign them, set secret-key-file in the configuration',
    )
  }
  if (names.length === 0) return ok(name, 'nothing was delivered yet')
  const publicKey = secretKeyFile === undefined ? undefined : publicKeyOf(secretKeyFile)
  const { objects, jobs } = await sample(look.spool, destinationName, names)
  if (objects.length === 0) {
    const what = `nothing to check: of ${lastJobs(names.length)} ${where}, no path went there and is still in the local store`
    return ok(name, what)
  }
  const { gone, unsigned } = await lookUp(destination, publicKey, objects)
  const [lost] = gone
  if (lost !== undefined) {
    const what = `${lost} was delivered, but is not there any more`
    const again = `cd ${quoted(look.spool.root)} && mv done/*.json new/`
    return warn(name, what, toType('If the cache was emptied, upload all paths again', again))
  }
  const [first] = unsigned
  if (first === undefined) {
    const by = publicKey === undefined ? ' by Nix itself (secret-key-files)' : ''
    return ok(
      name,
      `${counted(objects.length, 'path')} of ${lastJobs(jobs.length)} ${where}, all there and signed${by}`,
    )
  }
  const more = unsigned.length > 1 ? `, and ${unsigned.length - 1} more` : ''
  return fail(
    name,
    `${first} is there without ${whose(publicKey)} signature${more}: ${why(publicKey)}`,
    remedyFor(destination, jobs),
  )
}

function whose(publicKey: string | undefined): string {
  return publicKey === undefined ? 'any' : 'our'
}

function why(publicKey: string | undefined): string {
  if (publicKey !== undefined) return 'it was uploaded before our key was set, or by somebody else'
  return 'Nix signs its builds since secret-key-files is set, but this path is older'
}

/** `verify` signs paths in a cache; for other stores, there is Nix's command. */
function remedyFor({ to, secretKeyFile, via }: Destination, jobs: readonly string[]): string {
  const how = 'verify = true signs paths that were there before'
  if (secretKeyFile === undefined) return `Set secret-key-file and verify = true: ${how}`
  if (via === 'writer') {
    const why = `${how}: set it for this destination, restart the daemon, and upload them again`
    return toType(why, `nix-upload requeue ${jobs.map(quoted).join(' ')}`)
  }
  const sign = 'nix --extra-experimental-features nix-command store sign'
  return toType(
    'Sign all paths there',
    `${sign} --store ${quoted(to)} --key-file ${quoted(secretKeyFile)} --all`,
  )
}

/** The paths that were delivered last and are still in the local store, and the number of their jobs. */
async function sample(
  spool: Spool,
  destination: string,
  names: readonly string[],
): Promise<{ objects: StoreObject[]; jobs: string[] }> {
  const delivered: { name: string; job: Job }[] = []
  for (const name of names.toReversed()) {
    const job = look(spool, 'done', name)?.job
    const record = own(job?.destinations, destination)
    if (job && record?.state === 'done' && record.note === undefined) delivered.push({ name, job })
    if (delivered.length === SAMPLE) break
  }
  const paths = delivered.flatMap(({ job }) => job.outPaths)
  if (paths.length === 0) return { objects: [], jobs: [] }
  const store = new StoreSession()
  try {
    const objects = await store.objects(paths, AbortSignal.timeout(PATIENCE_MS))
    return { objects, jobs: delivered.map(({ name }) => name) }
  } finally {
    store.close()
  }
}

function lastJobs(count: number): string {
  return count === 1 ? 'the last job' : `the last ${count} jobs`
}
