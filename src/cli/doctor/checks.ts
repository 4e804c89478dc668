import type { Config } from '../../config/config.ts'
import { storeDirectory } from '../../nix/local-store.ts'
import { spoolAt } from '../../spool/layout.ts'
import { canBecome, lookAsService } from './as-service.ts'
import { attempt, type Check, type Patient, warn } from './check.ts'
import { checkClock } from './clock.ts'
import { checkDestinations } from './destinations.ts'
import { checkHook, checkTrust } from './hook.ts'
import { checkKeys } from './keys.ts'
import { checkLeftovers } from './leftovers.ts'
import { checkNix } from './nix.ts'
import { checkQueue } from './queue.ts'
import { findService, type Service } from './service.ts'
import { checkRoots, checkSpool } from './spool.ts'

const NIX_REMEDY = 'Is nix-daemon running (systemctl status nix-daemon), and may this user talk to it?'

/** Makes the patient out of a configuration. */
export async function patientOf(config: Config, user: string | undefined): Promise<Patient> {
  const service = await findService(config, user)
  return { config, spool: spoolAt(config.spool), service, storeDir: await storeDirectory() }
}

/** All checks, those of the service as that. */
export async function allChecks(patient: Patient, args: readonly string[]): Promise<Check[]> {
  const groups = await Promise.all([
    checksAsService(patient, args),
    attempt('hook', () => checkHook(patient), NIX_REMEDY),
    attempt('trust', () => checkTrust(), NIX_REMEDY),
    attempt('spool', () => checkSpool(patient)),
    attempt('GC roots', () => checkRoots(patient)),
    attempt('queue', () => checkQueue(patient), 'The spool must be there first'),
  ])
  return groups.flat()
}

async function checksAsService(patient: Patient, args: readonly string[]): Promise<Check[]> {
  const { service } = patient
  const checks = canBecome(service) ? await lookAsService(service, args) : undefined
  if (checks) return checks
  const own = process.getuid?.()
  return [...(await serviceChecks(patient)), ...(own === service.user.uid ? [] : [notAsService(service)])]
}

function notAsService({ user }: Service): Check {
  const what = `Nix, keys and destinations were looked at with this process's rights, and the service is ${user.name}`
  return warn('service', what, `Run doctor as root or as ${user.name}`)
}

/** What only the service can tell: it may have another PATH, other rights, another home and other credentials. */
export async function serviceChecks(patient: Patient): Promise<Check[]> {
  const nix = await attempt('Nix', () => checkNix(patient))
  const groups = await Promise.all([
    attempt('key', () => checkKeys(patient)),
    attempt('destination', () => checkDestinations(patient)),
    attempt('signatures', () => checkLeftovers(patient)),
    attempt('clock', () => checkClock(patient)),
  ])
  return [...nix, ...groups.flat()]
}
