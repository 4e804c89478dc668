// Other circumstances for a program than the test's own: fewer privileges, other mounts. They are gone with the test.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const ROOT = process.getuid?.() === 0

/** Runs a program as one for whom permissions hold, whoever runs the tests: root may read and write anything. */
export const UNPRIVILEGED = ROOT ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--'] : []

/** Makes namespaces; without root's privileges, a user namespace gives them. */
export const UNSHARE = ['unshare', ...(ROOT ? [] : ['--map-root-user'])]

/** What a test does in a place with mounts of its own. */
export interface Namespace {
  /** To start a program with, so that it runs there. */
  enter: string[]
  /** Where this process finds a file of there. */
  seen(path: string): string
}

/** Makes a mount namespace and runs a shell script in it, which mounts things. */
export async function makeNamespace(script: string): Promise<Namespace> {
  const args = ['--mount', 'sh', '-ec', `${script}\necho ready; exec sleep 600`]
  const [command = '', ...rest] = [...UNSHARE, ...args]
  const holder = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(async () => {
    holder.kill('SIGKILL')
    if (holder.exitCode === null && holder.signalCode === null) await once(holder, 'exit')
  })
  const ready = await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')])
  if (!String(ready[0]).startsWith('ready')) throw new Error(`the mounts could not be made: ${script}`)
  const pid = String(holder.pid)
  const user = ROOT ? [] : ['--user', '--preserve-credentials']
  return {
    enter: ['nsenter', '--target', pid, '--mount', ...user, '--'],
    seen: (path) => join('/proc', pid, 'root', path),
  }
}
