// The place for a tour's folder. Somebody's own directory is never emptied.

import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { runProgram } from '../support/run.ts'

/** The file that tells a folder of an earlier tour, which may be removed, from anything else. */
export const SETTINGS = 'env'
export const SETTINGS_TITLE = '# Made by the tour of nix-upload, for a shell to read.'

const NIX_UPLOAD = join(import.meta.dirname, '../../bin/nix-upload')

/**
 * Makes a directory, or empties the one that an earlier tour made.
 * @throws where it is anything else, or cannot be the home of a Nix.
 */
export async function emptyDirectory(asked: string): Promise<string> {
  mkdirSync(asked, { recursive: true })
  // Nix refuses a store below a symlink.
  const dir = realpathSync(asked)
  if (!/^[\w/.+-]+$/.test(dir)) {
    throw new Error(
      `Nix can't name outputs to a hook in a directory with blanks and the like, such as ${dir}. ` +
        'Name another one: npm start -- /tmp/tour',
    )
  }
  if (readdirSync(dir).length === 0) return dir
  const mark = join(dir, SETTINGS)
  if (!existsSync(mark) || !readFileSync(mark, 'utf8').startsWith(SETTINGS_TITLE)) {
    throw new Error(
      `${dir} is no folder of an earlier tour, so it is left alone. Move it away, or name another.`,
    )
  }
  await refuseWhileInUse(dir)
  for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true })
  return dir
}

/** Someone may have gone on playing with an earlier tour, and its daemon may still be at work. */
async function refuseWhileInUse(dir: string): Promise<void> {
  const spool = join(dir, 'spool')
  if (!existsSync(spool)) return
  const env = { PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` }
  const { stdout } = await runProgram(NIX_UPLOAD, ['status', '--json', '--spool', spool], {
    env,
  })
  const pid = /"pid": (\d+)/.exec(stdout)?.[1]
  if (pid !== undefined)
    throw new Error(`An earlier tour's daemon is still at work in ${dir}; type: kill ${pid}`)
}
