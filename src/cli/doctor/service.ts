import { readFileSync, statSync } from 'node:fs'
import type { Config } from '../../config/config.ts'
import { lifeOf } from '../../daemon/identity.ts'
import { spoolAt } from '../../spool/layout.ts'
import { type Report, readReport } from '../../spool/report.ts'
import { run } from '../../util/run-program.ts'
import { EXIT, UserError } from '../../util/user-error.ts'
import { findUser, type User } from '../user.ts'
import { type UnitState, unitState } from './unit.ts'

/** The user and the environment of the daemon. */
export interface Service {
  user: User
  /** How this is known. */
  how: string
  /** The daemon that is running. */
  report: Report | undefined
  /** Its environment, if we may see it. */
  env: Readonly<Record<string, string>> | undefined
  /** Its groups, if they differ from those of its user. */
  groups: readonly number[] | undefined
  unit: UnitState | undefined
}

/**
 * Finds out whose daemon delivers this spool: the running daemon's user, otherwise the unit's, otherwise the owner of the
 * spool.
 * @param named The value of `--user`.
 * @throws {UserError} if there is no such user.
 */
export async function findService(config: Config, named: string | undefined): Promise<Service> {
  const report = readReport(spoolAt(config.spool))
  const living = report && lifeOf(report) === 'alive' ? report : undefined
  const unit = await unitState()
  const found = await whoDelivers(config, named, living, unit)
  const env = named !== undefined ? undefined : (living && environmentOf(living.pid)) || unit?.env
  const groups = living ? groupsOf(living.pid) : await unitGroups(found.user, unit)
  return { ...found, report: living, env, unit, groups: named === undefined ? groups : undefined }
}

async function whoDelivers(
  config: Config,
  named: string | undefined,
  living: Report | undefined,
  unit: UnitState | undefined,
): Promise<Pick<Service, 'user' | 'how'>> {
  if (named !== undefined) {
    const user = await findUser(named)
    if (!user) throw new UserError(`--user: there is no user "${named}"`, EXIT.usage)
    return { user, how: 'as asked' }
  }
  const own = await findUser(`${process.getuid?.() ?? 0}`)
  const candidates: [key: string | undefined, how: string][] = [
    [living && ownerOf(`/proc/${living.pid}`), `whose daemon runs as process ${living?.pid}`],
    [unit?.user, `as ${unit?.name} has it`],
    [ownerOf(config.spool), 'the owner of the spool'],
  ]
  for (const [key, how] of candidates) {
    const user = key === undefined ? undefined : await findUser(key)
    if (user) return { user, how }
  }
  if (!own) throw new UserError('this process has an unknown user; name the user of the service with --user')
  return { user: own, how: 'the user of doctor' }
}

/** proc(5) */
function groupsOf(pid: number): number[] | undefined {
  try {
    const [, line = ''] = /^Groups:(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    const groups = line.trim().split(/\s+/).filter(Boolean).map(Number)
    return groups.length > 0 ? groups : undefined
  } catch {
    return undefined
  }
}

/** The groups of its user, and those that the unit adds. */
async function unitGroups(user: User, unit: UnitState | undefined): Promise<number[] | undefined> {
  if (!unit || unit.groups.length === 0) return undefined
  const added = await Promise.all(unit.groups.map((group) => run('getent', ['group', group])))
  const own = await run('id', ['-G', user.name])
  const numbers = [...own.stdout.trim().split(' '), ...added.map(({ stdout }) => stdout.split(':')[2] ?? '')]
  return numbers.filter((number) => /^\d+$/.test(number)).map(Number)
}

function ownerOf(path: string): string | undefined {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats && `${stats.uid}`
  } catch {
    // We may not enter a directory above it.
    return undefined
  }
}

/** Undefined if we may not see it. */
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
