import type { Destination } from '../../config/config.ts'
import { isCredential } from '../../config/credential.ts'
import { NixFailure } from '../../nix/failure.ts'
import { invalidPaths } from '../../nix/local-store.ts'
import { publicKeyOf } from '../../nix/secret-key.ts'
import { untrustedAt } from '../../nix/verify.ts'
import type { Job } from '../../spool/job.ts'
import type { Spool } from '../../spool/layout.ts'
import { lastNames, look } from '../../spool/survey.ts'
import { UserError } from '../../util/user-error.ts'
import { counted } from '../print.ts'
import { type Check, fail, ok, type Patient, warn } from './check.ts'
import { PATIENCE_MS } from './destinations.ts'

/** So many of the jobs that were done last are looked up. */
const SAMPLE = 5
/** So many are read to find them. */
const READ_AT_MOST = 100
/** So many names of done/ are looked at to find the last: a tenth of a second. */
const NAMES_AT_MOST = 100_000

/** Is what was delivered lately still there, and signed with our key? Nix never repairs what it finds unsigned. */
export async function checkLeftovers({ config, spool }: Patient): Promise<Check[]> {
  const signed = config.destinations.filter(isSigned)
  if (signed.length === 0) return []
  const { names, isAll } = lastNames(spool, 'done', READ_AT_MOST, NAMES_AT_MOST)
  if (names.length === 0) return []
  const where = isAll ? 'in done/' : `among ${NAMES_AT_MOST} in done/, where there are more`
  const checks = signed.map((destination) => checkOne(spool, destination, names, where))
  return (await Promise.all(checks)).flat()
}

type Signed = Destination & { secretKeyFile: string }

/** Whether its key is one that can be read from here. */
function isSigned(destination: Destination): destination is Signed {
  const { command, secretKeyFile } = destination
  return !command && secretKeyFile !== undefined && !isCredential(secretKeyFile)
}

/**
 * @param names The last jobs that are done, in order.
 * @param where Which jobs they are the last of.
 */
async function checkOne(
  spool: Spool,
  destination: Signed,
  names: readonly string[],
  where: string,
): Promise<Check[]> {
  const { name: destinationName, to, netrcFile, secretKeyFile } = destination
  const name = `signatures at ${destinationName}`
  const { paths, jobs } = await sample(spool, destinationName, names)
  if (paths.length === 0) {
    return [
      ok(
        name,
        `nothing to look for: of ${lastJobs(names.length)} ${where}, none went there and is still in the store here`,
      ),
    ]
  }
  const store = { to, netrcFile, silenceMs: PATIENCE_MS }
  try {
    const signal = AbortSignal.timeout(3 * PATIENCE_MS)
    const untrusted = await untrustedAt(store, paths, publicKeyOf(secretKeyFile), false, signal)
    const [first] = untrusted
    if (first === undefined)
      return [
        ok(name, `${counted(paths.length, 'path')} of ${lastJobs(jobs)} ${where}, all there and signed`),
      ]
    const what = `${first} is there without our signature${untrusted.length > 1 ? `, and ${untrusted.length - 1} more` : ''}: it was there before us, and Nix leaves it so`
    const remedy =
      `nix --extra-experimental-features nix-command store sign --store '${to}' --key-file ${secretKeyFile} --all; ` +
      'verify = true in the configuration has the daemon look after each upload'
    return [fail(name, what, remedy)]
  } catch (error) {
    // A key that can't be read is said elsewhere.
    if (error instanceof UserError) return []
    if (!(error instanceof NixFailure)) throw error
    const [, gone] = /path '([^']+)' is not valid/.exec(error.message) ?? []
    // That it does not answer is said elsewhere.
    if (gone === undefined) return []
    const what = `${gone} was delivered and is not there any more`
    return [
      warn(name, what, 'Where the cache was emptied: `mv done/*.json new/` in the spool sends it once more'),
    ]
  }
}

/** The paths that were delivered last, as far as they are still in the store here, and of how many jobs they are. */
async function sample(
  spool: Spool,
  destination: string,
  names: readonly string[],
): Promise<{ paths: string[]; jobs: number }> {
  const delivered: Job[] = []
  for (const name of names.toReversed()) {
    const job = look(spool, 'done', name)?.job
    const record = job?.destinations[destination]
    if (job && record?.state === 'done' && record.note === undefined) delivered.push(job)
    if (delivered.length === SAMPLE) break
  }
  const paths = delivered.flatMap(({ outPaths }) => outPaths)
  if (paths.length === 0) return { paths, jobs: 0 }
  const invalid = await invalidPaths(paths)
  return { paths: paths.filter((path) => !invalid.has(path)), jobs: delivered.length }
}

function lastJobs(count: number): string {
  return count === 1 ? 'the last job' : `the last ${count} jobs`
}
