import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Where systemd looks for units: the first file of a name counts, and all drop-ins are added. */
const DIRECTORIES = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
]

/** A service of systemd's and the files that it was started with. */
export interface UnitFiles {
  name: string
  /** The unit, its drop-ins, and the directories of these. */
  units: string[]
  /** What `EnvironmentFile=` and `LoadCredential=` name. */
  inputs: string[]
}

/**
 * Where a unit is installed.
 * @param root Looked for below this directory.
 * @returns undefined if it isn't.
 */
export function installedUnit(name: string, root = ''): string | undefined {
  return DIRECTORIES.map((directory) => join(root, directory, name)).find(isThere)
}

/** The nix-upload service that a process belongs to; undefined if it belongs to none. */
export function unitOf(pid: number): UnitFiles | undefined {
  const name = /\/([^/\n]+\.service)$/m.exec(textOf(`/proc/${pid}/cgroup`))?.[1]
  if (name === undefined) return undefined
  const unit = installedUnit(name)
  // Another program's service may have started it: a login, or a CI runner.
  if (unit === undefined || !textOf(unit).includes('nix-upload')) return undefined
  const dropIns = DIRECTORIES.map((directory) => join(directory, `${name}.d`)).filter(isThere)
  const files = dropIns.flatMap((directory) => confFilesIn(directory))
  return { name, units: [unit, ...dropIns, ...files], inputs: [unit, ...files].flatMap(inputsOf) }
}

function inputsOf(file: string): string[] {
  const found = textOf(file).matchAll(/^(?:EnvironmentFile=-?|LoadCredential=[^:\s]+:)(\/\S+)\s*$/gm)
  return [...found].map(([, input = '']) => input)
}

function confFilesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.conf'))
      .map((name) => join(directory, name))
  } catch {
    return []
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Empty if there is none, or we may not read it. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
