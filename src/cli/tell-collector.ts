import { NixFailure } from '../nix/failure.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import { NotStartedError } from '../util/run-program.ts'
import { wordsOf } from '../util/user-error.ts'
import { printable, say } from './print.ts'

/**
 * Tells a running garbage collection of paths that have got roots. If Nix can't be asked, this is reported: the roots then
 * protect the paths only from the next collection on.
 * @returns The paths that are gone.
 */
export async function tryToTell(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const { tellCollector } = await import('../nix/temporary-roots.ts')
  try {
    return await tellCollector(paths)
  } catch (error) {
    if (!(error instanceof NixFailure || error instanceof NotStartedError)) throw error
    const why = printable(error.message)
    say(`nix-upload: Nix can't be asked, so a running garbage collection may delete queued paths: ${why}`)
    return new Set()
  }
}

/** Makes GC roots survive a power cut. If the disk fails, this is reported. */
export async function tryToSync(roots: GcRoots): Promise<void> {
  try {
    await roots.sync()
  } catch (error) {
    const why = printable(wordsOf(error))
    say(`nix-upload: the GC roots could not be synced, so a power cut may undo them: ${why}`)
  }
}
