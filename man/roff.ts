// Markdown, as far as docs/ uses it, in the language of manual pages (man(7)).

import { lexer, type Token, type Tokens } from 'marked'

const WIDTH = 78

/** @param level The depth of headings that become sections; those below become subsections. */
export function roffOf(markdown: string, level = 2): string {
  return lexer(markdown)
    .map((token) => block(token, level))
    .join('')
    .replaceAll(/^(\.S[HS] .*\n)\.PP\n/gm, '$1')
}

/** The first lines of a page. */
export function titleOf(name: string, section: number, date: string, version: string): string {
  return `.\\" Made by man/generate.ts out of docs/ and the commands' own help; change those.\n.TH ${name.toUpperCase()} ${section} ${date} "nix-upload ${version}"\n`
}

function block(token: Token, level: number): string {
  switch (token.type) {
    case 'heading': {
      const { depth, tokens } = token
      const title = inline(tokens ?? []).replaceAll(/\\f[BIR]/g, '')
      return depth <= level ? `.SH ${quoted(title.toUpperCase())}\n` : `.SS ${quoted(title)}\n`
    }
    case 'paragraph':
      return `.PP\n${wrap(inline(token.tokens ?? []))}`
    case 'code':
      return `.PP\n.RS 4\n.nf\n${String(token.text).split('\n').map(verbatim).join('\n')}\n.fi\n.RE\n`
    case 'list':
      return list(token.items, token.ordered === true)
    case 'table':
      return table(token.header, token.rows)
    case 'space':
    case 'def':
      return ''
    default:
      throw new Error(`there is no rule for ${token.type} in man/roff.ts: ${token.raw}`)
  }
}

function list(items: Tokens.ListItem[], isOrdered: boolean): string {
  return items
    .map(
      ({ tokens }, at) =>
        `.IP ${isOrdered ? `${at + 1}.` : '\\(bu'} 4\n${wrap(tokens.map(itemText).join(' '))}`,
    )
    .join('')
}

function itemText(token: Token): string {
  return 'tokens' in token ? inline(token.tokens ?? []) : ''
}

/** A row is a term and what is to be said of it; a meaning comes first and needs no name. */
function table(header: Tokens.TableCell[], rows: Tokens.TableCell[][]): string {
  const names = header.map(({ text }) => text)
  return rows
    .map(([term, ...cells]) => `.TP\n${term ? inline(term.tokens) : ''}\n${definition(names, cells)}`)
    .join('')
}

function definition(names: string[], cells: Tokens.TableCell[]): string {
  const texts = cells.map(({ tokens }, at) => ({ name: names[at + 1] ?? '', text: inline(tokens) }))
  const meaning = texts.find(({ name }) => name === 'meaning' || name === 'value')?.text ?? ''
  const others = texts.filter(({ name, text }) => name !== 'meaning' && name !== 'value' && text !== '')
  const lines = others.map(({ name, text }) => wrap(texts.length === 1 ? text : `\\fI${name}\\fR: ${text}`))
  return [...(meaning === '' ? [] : [wrap(meaning)]), ...lines].join('.br\n') || '\\&\n'
}

function inline(tokens: Token[]): string {
  return tokens.map(piece).join('')
}

function piece(token: Token): string {
  switch (token.type) {
    case 'text':
      return 'tokens' in token && token.tokens ? inline(token.tokens) : escaped(token.text)
    case 'escape':
      return escaped(token.text)
    case 'codespan':
      return `\\fB${escaped(token.text).replaceAll('-', '\\-')}\\fR`
    case 'strong':
      return `\\fB${inline(token.tokens ?? [])}\\fR`
    case 'em':
      return `\\fI${inline(token.tokens ?? [])}\\fR`
    case 'link': {
      const text = inline(token.tokens ?? [])
      return /^https?:/.test(token.href) ? `${text} (${escaped(token.href)})` : text
    }
    case 'br':
      return ' '
    default:
      throw new Error(`there is no rule for ${token.type} in man/roff.ts: ${token.raw}`)
  }
}

function escaped(text: string): string {
  return unescapeHtml(text).replaceAll('\\', '\\e')
}

function unescapeHtml(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
}

function verbatim(line: string): string {
  return guarded(line.replaceAll('\\', '\\e').replaceAll('-', '\\-')) || '\\&'
}

/** A line that begins with a dot would be taken for a request. */
function guarded(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '\\(dq')}"`
}

/** Text in lines that are not too long for editors and linters. */
export function wrap(text: string): string {
  const lines: string[] = []
  for (const word of text.split(/\s+/).filter((word) => word !== '')) {
    const last = lines.at(-1)
    if (last !== undefined && widthOf(last) + 1 + widthOf(word) <= WIDTH)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(guarded(word))
  }
  return lines.map((line) => `${line}\n`).join('')
}

/** Readers of ours that know ASCII only write other characters as `\\[u00B7]`. */
function widthOf(text: string): number {
  return text.replaceAll(/[^ -~]/g, '\\[u0000]').length
}
