import { stripVTControlCharacters, styleText } from 'node:util'
import { counted } from '../util/counted.ts'
import { escapedJson, printable, printableLines } from '../util/printable.ts'

export { counted, printable, printableLines }

/** Writes data to stdout; waits while a pipe is full. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
}

/** JSON that is safe for a terminal. */
export function jsonOf(value: unknown, indent = 0): string {
  return escapedJson(JSON.stringify(value, null, indent))
}

/** Writes a value to stdout as JSON. */
export async function printJson(value: unknown): Promise<void> {
  await print(`${jsonOf(value, 2)}\n`)
}

/** Writes a message to stderr. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Colours for stdout; none if it is no terminal, or NO_COLOR is set. */
export function colour(style: 'red' | 'green' | 'yellow' | 'dim' | 'bold', text: string): string {
  return styleText(style, text, { stream: process.stdout })
}

/** Rows as a table with aligned columns; the last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, widthOf(cell))
  }
  return rows
    .map((row) =>
      row
        .map((cell, at) =>
          at === row.length - 1 ? cell : cell + ' '.repeat((widths[at] ?? 0) - widthOf(cell)),
        )
        .join('  '),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

/** Colours have no width. */
function widthOf(cell: string): number {
  return stripVTControlCharacters(cell).length
}
