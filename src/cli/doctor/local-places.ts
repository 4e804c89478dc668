import { mkdtempSync, rmdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileOf } from '../../config/store-url.ts'
import { findProgram } from '../../util/find-program.ts'
import { wordsOf } from '../../util/user-error.ts'
import { type Check, fail, ok, quoted, toType } from './check.ts'

/** A program of the user's is looked for, not run. */
export function probeProgram(name: string, file: string): Check {
  const found = findProgram(file)
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
