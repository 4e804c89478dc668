import { stripVTControlCharacters } from 'node:util'
import { isObject } from '../util/is-object.ts'

/** Nix's log levels (nix: src/libutil/logging.hh). */
export const ERROR = 0
const WARNING = 1
export const DEBUG = 6

/** Without JSON, Nix indents the continuation of a line. */
const INDENTED = /^ {7}/

/**
 * Picks Nix's error messages out of its output, with `--log-format internal-json` or without.
 * @param lines Its stderr. Lines from programs that Nix started, such as ssh, are kept.
 * @param upTo The least important level that is still wanted.
 * @returns The messages in their order, one line each, without colours; Nix's own errors without `error: `.
 */
export function messagesOf(lines: readonly string[], upTo = WARNING): string[] {
  const messages: string[] = []
  for (const line of lines) {
    if (line.trim() === '') continue
    const before = INDENTED.test(line) ? messages.pop() : undefined
    if (before !== undefined) messages.push(`${before}\n${line}`)
    else if (!line.startsWith('@nix ')) messages.push(line)
    else messages.push(...nixMessage(line, upTo))
  }
  return messages.map(oneLine).filter((message) => message !== '')
}

/** True for Nix's progress lines, which are nearly all of its lines; found without parsing. */
export function isProgress(line: string): boolean {
  return line.startsWith('@nix ') && !line.includes('"action":"msg"')
}

function nixMessage(line: string, upTo: number): string[] {
  if (isProgress(line)) return []
  let event: unknown
  try {
    event = JSON.parse(line.slice(5))
  } catch {
    return []
  }
  if (!isObject(event) || typeof event.level !== 'number' || event.level > upTo) return []
  const text = event.raw_msg ?? event.msg
  return typeof text === 'string' ? [text] : []
}

function oneLine(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
    .trim()
    .replace(/^error: /, '')
}
