/** HTML as it goes out. Text becomes it by way of `html` only, which escapes it. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Value = string | number | Html | readonly Html[]

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** A template of HTML: inserted values are text, also within quoted attributes, unless they are HTML already. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(parts.map((part, at) => part + textOf(values[at])).join(''))
}

function textOf(value: Value = ''): string {
  if (typeof value === 'number') return `${value}`
  if (typeof value === 'string') return value.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
  return value instanceof Html ? value.text : value.map(({ text }) => text).join('')
}

/** A longer text would hide everything else; our own texts are shorter. */
const CHARACTERS_SHOWN = 600

/** Text, cut off where it is very long. */
export function cut(text: string): string {
  return text.length > CHARACTERS_SHOWN ? `${text.slice(0, CHARACTERS_SHOWN)}…` : text
}

/** Text in which what stands between backticks is code; cut off where it is very long. */
export function prose(text: string): Html {
  const parts = cut(text).split(/`([^`]+)`/)
  return html`${parts.map((part, at) => (at % 2 === 1 ? html`<code>${part}</code>` : html`${part}`))}`
}
