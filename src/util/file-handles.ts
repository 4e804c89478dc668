import { readFileSync } from 'node:fs'

/**
 * How many file handles this process may have at a time. Node raises the soft limit to the hard one when it starts.
 * @returns undefined if the system doesn't say (it does on Linux), or if there is no limit.
 */
export function mostFileHandles(): number | undefined {
  try {
    const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return limit === undefined ? undefined : Number(limit)
  } catch {
    return undefined
  }
}
