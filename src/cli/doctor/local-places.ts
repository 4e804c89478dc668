import { accessSync, constants, mkdtempSync, rmdirSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileOf } from '../../config/store-url.ts'
import { wordsOf } from '../../util/user-error.ts'
import { type Check, fail, ok, quoted, toType } from './check.ts'

/** A program of the user's is looked for, not run. */
export function probeProgram(name: string, file: string): Check {
  const directories = (process.env.PATH ?? '').split(delimiter)
  const places = file.includes('/') ? [file] : directories.map((place) => join(place, file))
  const found = places.find((place) => can(place, constants.X_OK) && statSync(place).isFile())
  if (found !== undefined)
    return ok(name, `${found} is there; whether it gets anywhere, only an upload tells`)
  return fail(
    name,
    `there is no program ${file} on the PATH of the service`,
    'Install it, or give its whole path',
  )
}

/** A cache in a directory is made by the first upload. */
export function probeDirectory(name: string, to: string, user: string): Check {
  const path = fileOf(to)
  const existing = nearest(path)
  try {
    rmdirSync(mkdtempSync(join(existing, '.nix-upload-doctor-')))
  } catch (error) {
    const give =
      existing === path ? `chown -R ${user} ${quoted(path)}` : `install -d -o ${user} ${quoted(path)}`
    const remedy = toType(`Give it to ${user}, as root`, give)
    return fail(name, `${user} can't write there: ${wordsOf(error)}`, remedy)
  }
  return ok(
    name,
    existing === path ? `${path} can be written to` : `${path} is not there yet, and can be made`,
  )
}

function nearest(path: string): string {
  return statSync(path, { throwIfNoEntry: false }) || path === '/' ? path : nearest(dirname(path))
}

function can(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
