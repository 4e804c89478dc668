import { mkdtempSync } from 'node:fs'
import { chown, copyFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isObject } from '../../util/is-object.ts'
import { run } from '../../util/run-program.ts'
import type { Check } from './check.ts'
import type { Service } from './service.ts'

const LAUNCHER = fileURLToPath(new URL('../../../bin/nix-upload', import.meta.url))
const STATES = ['ok', 'warn', 'fail', 'skipped'] as const

/** True if the service has another user than this process, and this process can become that user. */
export function canBecome({ user }: Service): boolean {
  return process.getuid?.() === 0 && user.uid !== 0
}

/**
 * Makes the checks that only the service can make: in a process of its user, with its groups and environment.
 * @param args Options of the command line: the place of the configuration.
 * @returns undefined if that process could not be started.
 */
export async function lookAsService(service: Service, args: readonly string[]): Promise<Check[] | undefined> {
  const { user } = service
  const credentials = await credentialsFor(service)
  const own = ['HOME', 'PATH', 'NIX_CONF_DIR', 'NIX_REMOTE', 'NIX_STATE_DIR', 'NIX_STORE_DIR', 'NIX_LOG_DIR']
  const env = service.env ?? Object.fromEntries(own.flatMap((key) => entryOf(key)))
  const all = { HOME: user.home, ...env, ...(service.env ? {} : { HOME: user.home }), ...credentials.env }
  const lines = Object.entries({ PATH: process.env.PATH ?? '', ...all }).flatMap(assignment)
  try {
    const become = [
      `--reuid=${user.uid}`,
      `--regid=${user.gid}`,
      service.groups ? `--groups=${service.groups.join(',')}` : '--init-groups',
      '--inh-caps=-all',
      '--reset-env',
    ]
    const command = [process.execPath, LAUNCHER, 'doctor', '--as-service', '--json', ...args]
    // The environment is passed on stdin: any user can read a command line, and there are secrets in it. That user may not be
    // able to enter our working directory.
    const read = 'cd /; while IFS= read -r line; do export "$line"; done; exec "$@" < /dev/null'
    const { stdout } = await run('setpriv', [...become, '--', 'sh', '-c', read, 'sh', ...command], {
      input: lines.join(''),
    })
    return checksIn(stdout)
  } finally {
    await credentials.remove()
  }
}

/** A line for the shell that reads them; variables that a shell can't have are left out. */
function assignment([name, value]: [string, string]): string[] {
  return /^[A-Za-z_]\w*$/.test(name) && !value.includes('\n') ? [`${name}=${value}\n`] : []
}

function entryOf(key: string): [string, string][] {
  const value = process.env[key]
  return value === undefined ? [] : [[key, value]]
}

/** A service that doesn't run has no credentials: they are copied for its user, as systemd would do. */
async function credentialsFor({ unit, env, user }: Service) {
  const named = Object.entries(unit?.credentials ?? {})
  if (env?.CREDENTIALS_DIRECTORY !== undefined || named.length === 0) {
    return { env: {}, remove: () => Promise.resolve() }
  }
  const directory = mkdtempSync(join(tmpdir(), 'nix-upload-doctor-'))
  for (const [name, file] of named) {
    const copy = join(directory, name)
    // A missing one is reported where it is needed.
    await copyFile(file, copy).then(
      () => chown(copy, user.uid, user.gid),
      () => undefined,
    )
  }
  // This comes last: in a directory of another user, root could follow a symlink.
  await chown(directory, user.uid, user.gid)
  return {
    env: { CREDENTIALS_DIRECTORY: directory },
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}

function checksIn(stdout: string): Check[] | undefined {
  try {
    const value: unknown = JSON.parse(stdout)
    const checks = isObject(value) && Array.isArray(value.checks) ? value.checks : undefined
    return checks?.flatMap(checkOf)
  } catch {
    return undefined
  }
}

function checkOf(value: unknown): Check[] {
  if (!isObject(value)) return []
  const { name, what, remedy } = value
  const state = STATES.find((known) => known === value.state)
  if (typeof name !== 'string' || typeof what !== 'string' || state === undefined) return []
  return [{ name, state, what, ...(typeof remedy === 'string' ? { remedy } : {}) }]
}
