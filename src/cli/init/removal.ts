import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { asOwner } from '../owner.ts'
import type { Site, Step } from './step.ts'

/** Removes a file, and its directory if that is a drop-in directory and empty then. */
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

/** Removes a directory with its content. */
export function treeRemoval({ root }: Site, path: string): Step {
  const real = join(root, path)
  return {
    preview: () => (existsSync(real) ? `would remove ${path} with its content` : `there is no ${path}`),
    perform: () => {
      if (!existsSync(real)) return Promise.resolve(`there is no ${path}`)
      // As its owner, who could otherwise lead root astray with a symlink.
      asOwner(real, () => {
        for (const name of readdirSync(real)) rmSync(join(real, name), { recursive: true, force: true })
      })
      rmdirSync(real)
      return Promise.resolve(`removed ${path} with its content`)
    },
  }
}
