import { existsSync, lstatSync, mkdtempSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileOf } from '../../config/store-url.ts'
import { findProgram } from '../../util/find-program.ts'
import { wordsOf } from '../../util/user-error.ts'
import { type Check, fail, ok, quoted, toType } from './check.ts'

/** A user's program is looked for, but not run. */
export function probeProgram(name: string, file: string): Check {
  const found = findProgram(file)
  if (found !== undefined) return ok(name, `${found} exists; only an upload shows whether it works`)
  return fail(
    name,
    `there is no program ${file} on the PATH of the service`,
    'Install it, or write its full path',
  )
}

/** The first upload creates a cache in a directory. */
export function probeDirectory(name: string, to: string, user: string): Check {
  const path = fileOf(to)
  const existing = nearest(path)
  if (!existsSync(existing)) {
    const what = `${existing} is a symlink that leads nowhere: is something not mounted?`
    return fail(name, what, 'Mount it, or correct the symlink')
  }
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
    existing === path ? `${path} can be written to` : `${path} does not exist yet, but can be created`,
  )
}

function nearest(path: string): string {
  return lstatSync(path, { throwIfNoEntry: false }) || path === '/' ? path : nearest(dirname(path))
}
