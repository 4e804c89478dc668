import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { LocalCache } from '../../nix/stage.ts'

/** Where directories are made that are needed for one run of Nix. */
export interface ScratchSpace {
  /** Makes a cache, empty as yet, that is removed in the end, whatever happens. */
  use<T>(act: (cache: LocalCache) => Promise<T>): Promise<T>
}

/** @param prefix Of the path of each directory that is made. */
export function scratchAt(prefix: string, silenceMs: number): ScratchSpace {
  return {
    async use(act) {
      const root = await mkdtemp(prefix)
      try {
        const cache = { directory: join(root, 'cache'), temporary: join(root, 'tmp'), silenceMs }
        await mkdir(cache.directory)
        return await act(cache)
      } finally {
        await rm(root, { recursive: true, force: true })
      }
    },
  }
}
