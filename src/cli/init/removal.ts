import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { asOwner } from '../owner.ts'
import type { Site, Step } from './step.ts'

/** A file that is taken away, and the directory it was in where that is a drop-in directory and empty then. */
export function removal({ root }: Site, path: string): Step {
  const real = join(root, path)
  const isThere = () => lstatSync(real, { throwIfNoEntry: false }) !== undefined
  return {
    preview: () => (isThere() ? `would remove ${path}` : `there is no ${path}`),
    perform: () => {
      if (!isThere()) return Promise.resolve(`there is no ${path}`)
      rmSync(real)
      const directory = dirname(real)
      if (directory.endsWith('.d') && path.includes('/systemd/') && readdirSync(directory).length === 0) {
        rmdirSync(directory)
      }
      return Promise.resolve(`removed ${path}`)
    },
  }
}

/** A directory that is taken away with all that is in it. */
export function treeRemoval({ root }: Site, path: string): Step {
  const real = join(root, path)
  return {
    preview: () => (existsSync(real) ? `would remove ${path} and all that is in it` : `there is no ${path}`),
    perform: () => {
      if (!existsSync(real)) return Promise.resolve(`there is no ${path}`)
      // As its owner, who could put a symlink in the place of a directory while root goes through them.
      asOwner(real, () => {
        for (const name of readdirSync(real)) rmSync(join(real, name), { recursive: true, force: true })
      })
      rmdirSync(real)
      return Promise.resolve(`removed ${path} and all that was in it`)
    },
  }
}
