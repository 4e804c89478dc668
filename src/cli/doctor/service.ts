import { readFileSync, statSync } from 'node:fs'
import type { Config } from '../../config/config.ts'
import { EXIT, UserError } from '../../config/user-error.ts'
import { lifeOf } from '../../daemon/identity.ts'
import { NotStartedError, run } from '../../nix/run.ts'
import { spoolAt } from '../../spool/layout.ts'
import { type Report, readReport } from '../../spool/report.ts'
import { type UnitState, unitState } from './unit.ts'

/** A user of this machine. */
export interface User {
  name: string
  uid: number
  gid: number
  home: string
}

/** Who delivers here, and with what environment. */
export interface Service {
  user: User
  /** How that is known, in words. */
  how: string
  /** A daemon that is at work now. */
  report: Report | undefined
  /** What it has in its environment, as far as we may know. */
  env: Readonly<Record<string, string>> | undefined
  unit: UnitState | undefined
}

/**
 * Finds out whose daemon delivers this spool: the one that runs, or else the one that the unit would start, or else
 * whoever owns the spool.
 * @param named What `--user` says.
 * @throws {UserError} where there is no such user.
 */
export async function findService(config: Config, named: string | undefined): Promise<Service> {
  const report = readReport(spoolAt(config.spool))
  const living = report && lifeOf(report) === 'alive' ? report : undefined
  const unit = await unitState()
  const found = await findUser(config, named, living, unit)
  const env = named !== undefined ? undefined : (living && environmentOf(living.pid)) || unit?.env
  return { ...found, report: living, env, unit }
}

async function findUser(
  config: Config,
  named: string | undefined,
  living: Report | undefined,
  unit: UnitState | undefined,
): Promise<Pick<Service, 'user' | 'how'>> {
  if (named !== undefined) {
    const user = await lookUp(named)
    if (!user) throw new UserError(`--user: there is no user "${named}"`, EXIT.usage)
    return { user, how: 'as asked' }
  }
  const own = await lookUp(`${process.getuid?.() ?? 0}`)
  const candidates: [key: string | undefined, how: string][] = [
    [living && ownerOf(`/proc/${living.pid}`), `whose daemon runs as process ${living?.pid}`],
    [unit?.user, `as ${unit?.name} has it`],
    [ownerOf(config.spool), 'who owns the spool'],
  ]
  for (const [key, how] of candidates) {
    const user = key === undefined ? undefined : await lookUp(key)
    if (user) return { user, how }
  }
  if (!own)
    throw new UserError('this process has a user that nothing is known of; name the service’s with --user')
  return { user: own, how: 'who runs doctor' }
}

function ownerOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats && `${stats.uid}`
}

/** By name or number, from wherever this machine has its users. */
async function lookUp(key: string): Promise<User | undefined> {
  const [name, , uid, gid, , home] = (await entryOf(key)).trim().split(':')
  if (name === undefined || uid === undefined) return undefined
  return { name, uid: Number(uid), gid: Number(gid), home: home ?? '/' }
}

async function entryOf(key: string): Promise<string> {
  try {
    return (await run('getent', ['passwd', key])).stdout
  } catch (error) {
    if (!(error instanceof NotStartedError)) throw error
    const entries = readFileSync('/etc/passwd', 'utf8').split('\n')
    return entries.find((entry) => entry.startsWith(`${key}:`) || entry.split(':')[2] === key) ?? ''
  }
}

/** Undefined where we may not know. */
export function environmentOf(pid: number): Record<string, string> | undefined {
  try {
    const pairs = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean)
    return Object.fromEntries(pairs.map((pair) => splitOnce(pair)))
  } catch {
    return undefined
  }
}

function splitOnce(pair: string): [string, string] {
  const at = pair.indexOf('=')
  return at === -1 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
}
