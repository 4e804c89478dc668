import { type Config, DEFAULTS } from '../../config/config.ts'
import { storeDirectory } from '../../nix/local-store.ts'
import { spoolAt } from '../../spool/layout.ts'
import { own } from '../../util/own.ts'
import { canBecome, lookAsService } from './as-service.ts'
import { attempt, type Check, fail, type Patient, quoted, toType, unseen, warn } from './check.ts'
import { checkClock } from './clock.ts'
import { checkDestinations } from './destinations.ts'
import { checkHook, namedHook } from './hook.ts'
import { checkKeys } from './keys.ts'
import { checkLeftovers } from './leftovers.ts'
import { checkMetrics } from './metrics.ts'
import { checkNix } from './nix.ts'
import { checkNixDaemon } from './nix-daemon.ts'
import { checkQueue } from './queue.ts'
import { checkSandbox } from './sandbox.ts'
import { findService, type Service } from './service.ts'
import { checkRoots, checkSpool } from './spool.ts'
import { checkTrust } from './trust.ts'

const NIX_REMEDY = 'See the checks of Nix and nix-daemon'

/** The installation of a configuration. */
export async function patientOf(config: Config, user: string | undefined): Promise<Patient> {
  const service = await findService(config, user)
  return { config, spool: spoolAt(config.spool), service, storeDir: await storeDirectory() }
}

/** All checks; those of the service are made as the service. */
export async function allChecks(patient: Patient, args: readonly string[]): Promise<Check[]> {
  const groups = await Promise.all([
    checksAsService(patient, args),
    attempt('sandbox', () => checkSandbox(patient)),
    attempt('hook', () => checkHook(patient), NIX_REMEDY),
    attempt('trust', () => checkTrust(), NIX_REMEDY),
    attempt('spool', () => checkSpool(patient)),
    attempt('GC roots', () => checkRoots(patient)),
    attempt('queue', () => checkQueue(patient)),
  ])
  return groups.flat()
}

/** True if neither `init` nor anybody else has set this up: there is no configuration, no hook and no daemon. */
export async function isBeforeInit({ config, service }: Patient): Promise<boolean> {
  if (config.source !== undefined || service.report !== undefined) return false
  // If Nix can't be asked, the checks say why.
  const { file } = await namedHook().catch(() => ({ file: 'unknown' }))
  return file === ''
}

/** Where nothing is set up yet: one command makes the rest, and a remedy for each part would be a detour. */
export async function checksBeforeInit(patient: Patient): Promise<Check[]> {
  const groups = await Promise.all([
    attempt('Nix', () => checkNix(patient)),
    attempt('nix-daemon', () => checkNixDaemon(patient)),
    attempt('trust', () => checkTrust(), NIX_REMEDY),
  ])
  const { spool } = patient.config
  const flags = spool === DEFAULTS.spool ? '' : ` --spool ${quoted(spool)}`
  const remedy = toType('As root; it asks where to upload', `nix-upload init --install${flags}`)
  const what = 'there is no configuration, and no post-build-hook is set, so builds are not queued'
  return [...groups.flat(), fail('setup', what, remedy)]
}

async function checksAsService(patient: Patient, args: readonly string[]): Promise<Check[]> {
  const { service } = patient
  const checks = canBecome(service) ? await lookAsService(service, args) : undefined
  if (checks) return checks
  const asSeenHere = await serviceChecks(patient)
  if (process.getuid?.() === service.user.uid) return asSeenHere
  return [...asSeenHere.map((check) => asSeenByOthers(check, service)), notAsService(service)]
}

/** If this user may not do something, this says nothing about the service. The daemon's own report counts. */
function asSeenByOthers(check: Check, { report }: Service): Check {
  const [, name = ''] = /^destination (.*)$/.exec(check.name) ?? []
  if (check.state !== 'fail' || own(report?.destinations, name)?.state === 'down') return check
  return unseen(check.name, `this user sees only this: ${check.what}`)
}

function notAsService({ user }: Service): Check {
  const what = `Nix, keys and destinations were checked with this process's rights, but the service runs as ${user.name}`
  return warn('service', what, toType(`Root, or ${user.name}, sees more`, 'nix-upload doctor'))
}

/** The checks that only the service can make: it may have another PATH, other rights, another home and other credentials. */
export async function serviceChecks(patient: Patient): Promise<Check[]> {
  const nix = await attempt('Nix', () => checkNix(patient))
  const groups = await Promise.all([
    attempt('nix-daemon', () => checkNixDaemon(patient)),
    attempt('key', () => checkKeys(patient)),
    attempt('destination', () => checkDestinations(patient)),
    attempt('signatures', () => checkLeftovers(patient)),
    attempt('metrics', () => checkMetrics(patient)),
    attempt('clock', () => checkClock(patient)),
  ])
  return [...nix, ...groups.flat()]
}
