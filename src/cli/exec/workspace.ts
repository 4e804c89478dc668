import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { openSpool, type Spool } from '../../spool/layout.ts'
import { findProgram } from '../../util/find-program.ts'
import { isOpenToAll } from '../../util/open-directory.ts'
import { codeOf, EXIT, UserError } from '../../util/user-error.ts'
import { userName } from '../../util/user-name.ts'
import { HOOK } from '../own-hook.ts'
import { hookScript } from './hook-script.ts'

/** The spool, the GC-root directory and the hook of one `exec`. */
export interface Workspace {
  directory: string
  spool: Spool
  /** Empty if there can be no roots. */
  gcroots: string
  /** The value of `post-build-hook`. */
  hook: string
  /** Removes all of it, except a spool that is kept. */
  discard(): void
  /** Removes all that is not needed to deliver the rest of the spool later. */
  leave(): void
}

/**
 * Makes a workspace in the directory for temporary files.
 * @param kept A spool to use instead of a new one.
 * @param gcroots The configured GC-root directory: ours is made beside it. Empty if roots are off.
 * @param strict Whether the build stops if the hook can't queue a job safely.
 * @throws {UserError} if Nix could not run a hook in that directory.
 */
export function makeWorkspace(kept: string | undefined, gcroots: string, strict: boolean): Workspace {
  // White space or # would end or change the value of a setting.
  if (/[\s#]/.test(tmpdir())) {
    throw new UserError(
      `the directory for temporary files, ${tmpdir()}, has a space or # in its name; set TMPDIR to another directory`,
    )
  }
  // nix-daemon runs the hook as root.
  if (isOpenToAll(tmpdir())) {
    throw new UserError(
      `any user could replace files in the directory for temporary files, ${tmpdir()}: all users may write to it, and it is ` +
        `not sticky; set TMPDIR to another`,
      EXIT.badConfig,
    )
  }
  const directory = mkdtempSync(join(tmpdir(), 'nix-upload-exec-'))
  const spool = openSpool(kept ?? join(directory, 'spool'))
  const roots = rootsFor(kept === undefined ? basename(directory) : nameFor(kept), gcroots)
  const hook = join(directory, 'hook')
  const discard = () => {
    rmSync(directory, { recursive: true, force: true })
    try {
      if (roots.path !== '') rmdirSync(roots.path)
    } catch {
      // It was never created, or it contains files of others.
    }
  }
  try {
    const owner = roots.byHook ? `${process.getuid?.()}:${process.getgid?.()}` : undefined
    writeFileSync(hook, hookScript({ hook: HOOK, spool: spool.root, gcroots: roots.path, owner, strict }), {
      mode: 0o755,
    })
    refuseNoexec(hook)
  } catch (error) {
    discard()
    throw error
  }
  const leave = () => rmSync(kept === undefined ? hook : directory, { recursive: true, force: true })
  return { directory, spool, gcroots: roots.path, hook, discard, leave }
}

/** Jobs in a spool that is kept have their roots in the same place the next time. */
function nameFor(spool: string): string {
  return `nix-upload-exec-${createHash('sha256').update(spool).digest('hex').slice(0, 8)}`
}

function refuseNoexec(hook: string): void {
  if (findProgram(hook)) return
  const message = `programs in ${dirname(hook)} can't be run (mounted noexec?), but the hook must be run; set TMPDIR to another directory`
  throw new UserError(message, EXIT.badConfig)
}

/**
 * Where the roots go, and whether only the hook, which nix-daemon runs as root, can create that directory. In Nix's
 * `per-user/NAME` it may be ours, so that we can clean up.
 */
function rootsFor(name: string, configured: string): { path: string; byHook: boolean } {
  if (configured === '') return { path: '', byHook: false }
  const parent = dirname(configured)
  const places = [join(parent, name), join(parent, 'per-user', userName(), name)]
  for (const path of places) {
    try {
      mkdirSync(path)
      return { path, byHook: false }
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return { path, byHook: false }
      // It is missing, or we may not write to it.
    }
  }
  const [, path = ''] = places
  return existsSync(join(parent, 'per-user')) ? { path, byHook: true } : { path: '', byHook: false }
}
