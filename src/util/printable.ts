/** What a terminal may obey: control and format characters (direction, say), and the separators of lines. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** The same, without the ends of lines. */
const OBEYED_IN_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Nothing of the kind: nearly all that is written, and told in a tenth of the time. */
const PLAIN = /^[\n\x20-\x7e]*$/

/** Text for a terminal, on one line: what it would obey, which names and errors may hold, is shown instead. */
export function printable(text: string): string {
  return text.replaceAll(OBEYED, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

/**
 * JSON in which what a terminal may obey is escaped, also where JSON itself does not ask for it.
 * @param text JSON; its new lines stay.
 * @param before What stands before the four digits.
 */
export function escapedJson(text: string, before = '\\u'): string {
  if (PLAIN.test(text)) return text
  return text.replaceAll(OBEYED_IN_LINES, (character) => {
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
    return units.map((unit) => before + unit.toString(16).padStart(4, '0')).join('')
  })
}
