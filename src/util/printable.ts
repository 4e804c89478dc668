/** Characters that may control a terminal: control and format characters (such as text direction), and line separators. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** The same, without line ends. */
const OBEYED_IN_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Text without such characters. Nearly all text is like that, and this check takes a tenth of the time. */
const PLAIN = /^[\n\x20-\x7e]*$/

/** Text for a terminal, on one line. Characters that may control it, which names and errors may contain, are escaped. */
export function printable(text: string): string {
  return text.replaceAll(OBEYED, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

/** The same for text of several lines: its line ends stay. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/**
 * JSON in which all characters that may control a terminal are escaped, more than JSON requires.
 * @param text JSON; its line ends stay.
 * @param before The text before the four digits.
 */
export function escapedJson(text: string, before = '\\u'): string {
  if (PLAIN.test(text)) return text
  return text.replaceAll(OBEYED_IN_LINES, (character) => {
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
    return units.map((unit) => before + unit.toString(16).padStart(4, '0')).join('')
  })
}
