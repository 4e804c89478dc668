import { printable } from '../util/printable.ts'
import { nearest } from '../util/spelling.ts'
import { withoutPassword } from './store-url.ts'
import type { Path, Problem } from './table.ts'

/** The known keys at the top of a file and in a `[[destination]]`, to find the meaning of a typo. */
export interface KnownKeys {
  top: readonly string[]
  destination: readonly string[]
}

/**
 * Says what is wrong with a config file, one sentence for each problem: the key, the expected value, the actual one.
 */
export function problemsOf(problem: Problem, known: KnownKeys): string[] {
  if ('unknown' in problem) {
    const { path, unknown } = problem
    return unknown.map((key) => `unknown key ${keyOf([...path, key])}${suggestion(key, path, known)}`)
  }
  const { path, message, value } = problem
  const got = isSecret(path) ? 'something that is not shown, as it may be the secret itself' : shown(value)
  return [`${keyOf(path)}: ${message}, got ${got}`]
}

function keyOf(path: Path): string {
  return path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at > 0 ? '.' : ''}${printable(part)}`))
    .join('')
}

/** If somebody sets a key instead of its file, the key must not get into the journal. */
function isSecret(path: Path): boolean {
  return path.some((part) => part === 'secret-key-file' || part === 'netrc-file')
}

function shown(value: unknown): string {
  const text = printable(withoutPassword(JSON.stringify(value) ?? String(value)))
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

function suggestion(unknown: string, path: Path, keys: KnownKeys): string {
  const known = path[0] === 'destination' ? keys.destination : keys.top
  const near = nearest(unknown, known)
  if (near) return `; did you mean "${near}"?`
  const elsewhere = path[0] === 'destination' ? keys.top : keys.destination
  if (elsewhere.includes(unknown.toLowerCase().replaceAll('_', '-'))) {
    return path[0] === 'destination'
      ? '; it belongs above the first [[destination]]'
      : '; it belongs in a [[destination]]'
  }
  return `; known here: ${known.join(', ')}`
}
