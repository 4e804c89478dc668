import { NixFailure } from '../nix/failure.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import { NotStartedError } from '../util/run-program.ts'
import { wordsOf } from '../util/user-error.ts'
import { printable, say } from './print.ts'

/**
 * Tells a garbage collection that may be running of paths that have roots now. Where Nix can't be asked, that is said, and
 * the links alone protect them: from the next collection on.
 * @returns The paths that are gone.
 */
export async function tryToTell(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const { tellCollector } = await import('../nix/temporary-roots.ts')
  try {
    return await tellCollector(paths)
  } catch (error) {
    if (!(error instanceof NixFailure || error instanceof NotStartedError)) throw error
    const why = printable(error.message)
    say(
      `nix-upload: Nix can't be asked, so a garbage collection that is running may take what is queued: ${why}`,
    )
    return new Set()
  }
}

/** Makes GC roots survive a power cut. Where the disk can't, that is said. */
export async function tryToSync(roots: GcRoots): Promise<void> {
  try {
    await roots.sync()
  } catch (error) {
    const why = printable(wordsOf(error))
    say(`nix-upload: the GC roots could not be synced, so a power cut may undo them: ${why}`)
  }
}
