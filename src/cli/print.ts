import { stripVTControlCharacters, styleText } from 'node:util'

/** Text for a terminal: control characters, which names and errors may hold, are shown and not obeyed. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}|\p{Cf}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

/** Writes data to stdout; waits where a pipe is full. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
}

/** JSON in which what a terminal would obey is escaped, also where JSON itself does not ask for it. */
export function jsonOf(value: unknown, indent = 0): string {
  return JSON.stringify(value, null, indent).replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) =>
    character === '\n' ? character : escapeUnits(character),
  )
}

function escapeUnits(character: string): string {
  return [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('')
}

/** Writes a value to stdout as JSON. */
export async function printJson(value: unknown): Promise<void> {
  await print(`${jsonOf(value, 2)}\n`)
}

/** Says something on stderr. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** `1 job`, `2 jobs`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** Colours for stdout; none where it is no terminal or NO_COLOR is set. */
export function colour(style: 'red' | 'green' | 'yellow' | 'dim' | 'bold', text: string): string {
  return styleText(style, text, { stream: process.stdout })
}

/** Rows as a table with aligned columns; the last column is left as wide as it is. */
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

/** Colours take no room. */
function widthOf(cell: string): number {
  return stripVTControlCharacters(cell).length
}
