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

/** What one `exec` has for itself: a spool, a place for GC roots, and a hook that knows of both. */
export interface Workspace {
  directory: string
  spool: Spool
  /** Empty if there can be no roots. */
  gcroots: string
  /** What `post-build-hook` is set to. */
  hook: string
  /** Removes all of it, but for a spool that is kept anyway. */
  discard(): void
  /** Removes what nobody needs to go on with what is in the spool. */
  leave(): void
}

/**
 * Makes a workspace in the directory for temporary files.
 * @param kept A spool to use instead of one of its own.
 * @param gcroots The configured GC-root directory: ours is made beside it, empty where roots are off.
 * @param strict Whether a hook that can't do all it promises stops the build.
 * @throws {UserError} if Nix could not run a hook that lies there.
 */
export function makeWorkspace(kept: string | undefined, gcroots: string, strict: boolean): Workspace {
  // White space and a hash would end or change the value of a setting.
  if (/[\s#]/.test(tmpdir())) {
    throw new UserError(
      `the directory for temporary files, ${tmpdir()}, has a blank or # in its name; set TMPDIR to another`,
    )
  }
  // nix-daemon runs the hook as root.
  if (isOpenToAll(tmpdir())) {
    throw new UserError(
      `anybody could exchange what lies in the directory for temporary files, ${tmpdir()}: it is for all to write to, and ` +
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
      // It was never made, or holds what is not ours to remove.
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

/** What waits in a spool that is kept has its roots in the same place the next time. */
function nameFor(spool: string): string {
  return `nix-upload-exec-${createHash('sha256').update(spool).digest('hex').slice(0, 8)}`
}

function refuseNoexec(hook: string): void {
  if (findProgram(hook)) return
  const message = `nothing can be run from ${dirname(hook)} (mounted noexec?), and the hook must be; set TMPDIR to another place`
  throw new UserError(message, EXIT.badConfig)
}

/**
 * Where the roots go, and whether it takes the hook, which nix-daemon runs as root, to make that directory. In Nix's
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
      // Not ours to write to, or not there.
    }
  }
  const [, path = ''] = places
  return existsSync(join(parent, 'per-user')) ? { path, byHook: true } : { path: '', byHook: false }
}
