/** What people do who get an error of the parser. */
const LIKELY: readonly (readonly [said: RegExp, hint: string])[] = [
  [
    /^(?:invalid value|illegal character in numeric literal|each key-value declaration must)/,
    'a text needs quotes: key = "text"',
  ],
  [/^control characters are not allowed in strings/, 'is a closing quote missing?'],
  [/^(?:illegal character in key|incomplete key-value)/, 'expected key = value or [[destination]]'],
]

/**
 * What is wrong with a file that is not TOML, with the likely reason.
 * @param message What the parser says, with an excerpt of the file behind it.
 */
export function tomlProblem(message: string): string {
  const [first = ''] = message.split('\n')
  const said = first.replace(/^Invalid TOML document: /, '')
  const hint = LIKELY.find(([pattern]) => pattern.test(said))?.[1]
  return hint === undefined ? said : `${said}; ${hint}`
}
