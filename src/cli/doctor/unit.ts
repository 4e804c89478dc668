import { readFileSync } from 'node:fs'
import { NotStartedError, run } from '../../util/run-program.ts'
import { HOMES, isBelow, TEMPORARY } from '../unit-sandbox.ts'

const SERVICES = ['nix-upload.service', 'nix-upload-drain.service'] as const

/** What systemd knows about our service. */
export interface UnitState {
  name: string
  user: string
  /** Groups in addition to those of its user. */
  groups: readonly string[]
  env: Readonly<Record<string, string>>
  /** The files of its credentials, by name; perhaps only root can read them. */
  credentials: Readonly<Record<string, string>>
  /** The directories that it may write to; undefined if that is not restricted. */
  writable: readonly string[] | undefined
  /** Directories that it can't see, except those in `bound`. */
  hidden: readonly string[]
  /** Paths that are mounted there for it. */
  bound: readonly string[]
  /** Its running process; 0 if there is none. */
  pid: number
  /** The path unit waits for jobs, so that no daemon needs to run. */
  isPathMode: boolean
}

/** Asks systemd; undefined if there is none, or it has no such unit. */
export async function unitState(): Promise<UnitState | undefined> {
  try {
    const isPathMode = (await run('systemctl', ['is-active', 'nix-upload-drain.path'])).exitCode === 0
    const [daemon, drain] = SERVICES
    const name = isPathMode ? drain : daemon
    const names = [
      ...['LoadState', 'User', 'Environment', 'EnvironmentFiles', 'SupplementaryGroups', 'MainPID'],
      ...['ProtectSystem', 'ReadWritePaths', 'StateDirectory', 'CacheDirectory'],
      ...['ProtectHome', 'PrivateTmp', 'BindPaths', 'BindReadOnlyPaths'],
    ]
    const { stdout } = await run('systemctl', ['show', ...names.map((key) => `--property=${key}`), name])
    const values = (key: string) =>
      [...stdout.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value)
    if (values('LoadState')[0] !== 'loaded') return undefined
    const pairs = values('Environment').flatMap((line) => line.split(' '))
    const files = values('EnvironmentFiles').map((line) => line.replace(/ \(.*\)$/, ''))
    return {
      name,
      user: values('User')[0] || 'root',
      groups: values('SupplementaryGroups').flatMap((line) => line.split(' ').filter(Boolean)),
      env: Object.fromEntries([...pairs, ...files.flatMap(linesOf)].flatMap(assignment)),
      credentials: await credentialsOf(name),
      writable: values('ProtectSystem')[0] === 'strict' ? writableOf(values) : undefined,
      ...hiddenFrom(values),
      pid: Number(values('MainPID')[0] ?? 0),
      isPathMode,
    }
  } catch (error) {
    if (error instanceof NotStartedError) return undefined
    throw error
  }
}

type Values = (key: string) => string[]

function wordsIn(values: Values, key: string): string[] {
  return values(key).flatMap((line) => line.split(' ').filter(Boolean))
}

/** The places of `FROM:TO:OPTIONS`. */
function mounted(values: Values, key: string): string[] {
  return wordsIn(values, key).map((word) => word.split(':')[1] ?? word)
}

function hiddenFrom(values: Values): Pick<UnitState, 'hidden' | 'bound'> {
  const [home = 'no'] = values('ProtectHome')
  const [temporary = 'no'] = values('PrivateTmp')
  const bound = [...mounted(values, 'BindPaths'), ...mounted(values, 'BindReadOnlyPaths')]
  return {
    hidden: [...(['yes', 'tmpfs'].includes(home) ? HOMES : []), ...(temporary === 'no' ? [] : TEMPORARY)],
    // If nothing can be seen there, nothing can be mounted.
    bound: home === 'yes' ? bound.filter((path) => !isBelow(path, HOMES)) : bound,
  }
}

function writableOf(values: Values): string[] {
  const words = (key: string) => wordsIn(values, key)
  return [
    ...mounted(values, 'BindPaths'),
    // `-` in front: it may be missing; `+`: it is below the service's root.
    ...words('ReadWritePaths').map((path) => path.replace(/^[-+]+/, '')),
    ...words('StateDirectory').map((name) => `/var/lib/${name}`),
    ...words('CacheDirectory').map((name) => `/var/cache/${name}`),
  ]
}

/** From the unit's text: `systemctl show` doesn't print them. */
async function credentialsOf(unit: string): Promise<Record<string, string>> {
  const { stdout } = await run('systemctl', ['cat', unit])
  const found = stdout.matchAll(/^LoadCredential=([^:\s]+):(\S+)\s*$/gm)
  return Object.fromEntries([...found].map(([, name = '', file = '']) => [name, file]))
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}

/** `NAME=value`, quoted or not, as in systemd.exec(5). */
function assignment(text: string): [string, string][] {
  const at = text.indexOf('=')
  if (at <= 0 || /^\s*[#;]/.test(text)) return []
  const value = text.slice(at + 1).trim()
  return [[text.slice(0, at).trim(), value.replace(/^(["'])(.*)\1$/, '$2')]]
}
