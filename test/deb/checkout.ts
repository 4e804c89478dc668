import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const PROJECT = join(import.meta.dirname, '../..')
/** What isn't in a fresh checkout, and what `npm ci` puts there. */
const NOT_IN_CHECKOUT = new Set(['.git', 'node_modules', 'dist', 'tour'])

/** A checkout after `npm ci`. Its node_modules is ours, which nothing there can write to. */
export function makeCheckout(dir: string): void {
  mkdirSync(dir)
  const names = readdirSync(PROJECT).filter((name) => !NOT_IN_CHECKOUT.has(name) && !name.endsWith('.deb'))
  for (const name of names) cpSync(join(PROJECT, name), join(dir, name), { recursive: true })
  const modules = join(dir, 'node_modules')
  mkdirSync(modules)
  execFileSync('mount', ['--options', 'bind,ro', join(PROJECT, 'node_modules'), modules])
}

export function discardCheckout(dir: string): void {
  execFileSync('umount', ['--lazy', join(dir, 'node_modules')])
  rmSync(dir, { recursive: true })
}
