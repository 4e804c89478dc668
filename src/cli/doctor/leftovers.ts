import type { Destination } from '../../config/config.ts'
import { isCredential } from '../../config/credential.ts'
import { UserError } from '../../config/user-error.ts'
import { NixFailure } from '../../nix/failure.ts'
import { invalidPaths } from '../../nix/local-store.ts'
import { publicKeyOf, untrustedAt } from '../../nix/verify.ts'
import type { Spool } from '../../spool/layout.ts'
import { jobsIn } from '../../spool/survey.ts'
import { counted } from '../print.ts'
import { type Check, fail, ok, type Patient, warn } from './check.ts'
import { PATIENCE_MS } from './destinations.ts'

/** So many of the jobs that were done last are looked up. */
const SAMPLE = 5

/** Is what was delivered lately still there, and signed with our key? Nix never repairs what it finds unsigned. */
export async function checkLeftovers({ config, spool }: Patient): Promise<Check[]> {
  const checks = await Promise.all(config.destinations.map((destination) => checkOne(spool, destination)))
  return checks.flat()
}

async function checkOne(spool: Spool, destination: Destination): Promise<Check[]> {
  const { name: destinationName, to, netrcFile, secretKeyFile, command } = destination
  const name = `signatures at ${destinationName}`
  if (command || secretKeyFile === undefined || isCredential(secretKeyFile)) return []
  const paths = await sample(spool, destinationName)
  if (paths.length === 0) return []
  const store = { to, netrcFile, silenceMs: PATIENCE_MS }
  try {
    const signal = AbortSignal.timeout(3 * PATIENCE_MS)
    const untrusted = await untrustedAt(store, paths, publicKeyOf(secretKeyFile), false, signal)
    const [first] = untrusted
    if (first === undefined)
      return [ok(name, `${counted(paths.length, 'path')} of late, all there and signed`)]
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

/** The paths that were delivered last, as far as they are still in the store here. */
async function sample(spool: Spool, destination: string): Promise<string[]> {
  const jobs = [...jobsIn(spool, ['done'])].flatMap(({ job }) => job ?? [])
  const delivered = jobs.filter((job) => {
    const record = job.destinations[destination]
    return record?.state === 'done' && record.note === undefined
  })
  const paths = delivered.slice(-SAMPLE).flatMap(({ outPaths }) => outPaths)
  if (paths.length === 0) return []
  const invalid = await invalidPaths(paths)
  return paths.filter((path) => !invalid.has(path))
}
