// What the page of benchmarks is made of.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type * as z from 'zod/mini'

const RESULTS = join(import.meta.dirname, 'results')

/** What a benchmark left; undefined where it was not run. */
export function results<T>(name: string, schema: z.ZodMiniType<T>): T | undefined {
  const path = join(RESULTS, `${name}.json`)
  return existsSync(path) ? schema.parse(JSON.parse(readFileSync(path, 'utf8'))) : undefined
}

/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return `${lines.join('\n')}\n`
}
