import type * as z from 'zod/mini'
import { printable } from '../util/printable.ts'
import { nearest } from '../util/spelling.ts'
import { withoutPassword } from './store-url.ts'

/** The keys that are known at the top of a file and in a `[[destination]]`, for saying what a typo meant. */
export interface KnownKeys {
  top: readonly string[]
  destination: readonly string[]
}

/**
 * Says what is wrong with a config file, one sentence a problem: the key, what was expected, what came.
 */
export function problemsOf(issue: z.core.$ZodIssue, known: KnownKeys): string[] {
  const key = keyOf(issue.path)
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(
      (unknown) => `unknown key ${keyOf([...issue.path, unknown])}${suggestion(unknown, issue.path, known)}`,
    )
  }
  const got =
    issue.input === undefined ? 'nothing' : isSecret(issue.path) ? 'something else' : shown(issue.input)
  if (issue.code === 'invalid_type' && issue.expected === 'array') {
    return [`${key}: expected [[destination]] sections (two pairs of brackets), got ${got}`]
  }
  const message =
    issue.code === 'custom'
      ? issue.message
      : `expected ${'expected' in issue ? issue.expected : 'something else'}`
  return [`${key}: ${message}, got ${got}`]
}

function keyOf(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) =>
      typeof part === 'number' ? `[${part}]` : `${at > 0 ? '.' : ''}${printable(String(part))}`,
    )
    .join('')
}

/** Whoever takes a key for its file must not find it in the journal. */
function isSecret(path: readonly PropertyKey[]): boolean {
  return path.some((part) => part === 'secret-key-file' || part === 'netrc-file')
}

function shown(value: unknown): string {
  const text = printable(withoutPassword(JSON.stringify(value) ?? String(value)))
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

function suggestion(unknown: string, path: readonly PropertyKey[], keys: KnownKeys): string {
  const known = path[0] === 'destination' ? keys.destination : keys.top
  const near = nearest(unknown, known)
  if (near) return `; did you mean "${near}"?`
  const elsewhere = path[0] === 'destination' ? keys.top : keys.destination
  if (elsewhere.includes(unknown.toLowerCase().replaceAll('_', '-'))) {
    return path[0] === 'destination'
      ? '; it belongs above the first [[destination]]'
      : '; it belongs into a [[destination]]'
  }
  return `; known here: ${known.join(', ')}`
}
