import { destination, type Logger, pino, stdTimeFunctions } from 'pino'
import type { LogLevel } from '../config/config.ts'

/** What a terminal may obey and JSON does not escape: C1, direction and other format characters, line separators. */
const OBEYED = /[\u007f-\u009f\p{Cf}\u2028\u2029]/gu

/** The log, on stderr: pretty on a terminal, JSON lines elsewhere. Names and errors in it can't steer a terminal. */
export async function makeLog(level: LogLevel): Promise<Logger> {
  if (!process.stderr.isTTY) {
    const options = {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
      hooks: { streamWrite: (line: string) => escaped(line, '\\u') },
    }
    return pino(options, destination({ dest: 2, sync: true }))
  }
  const { default: pretty } = await import('pino-pretty')
  const stream = pretty({
    colorize: !process.env.NO_COLOR,
    destination: 2,
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
    sync: true,
  })
  // Escaped twice, since it is printed as it is read.
  const hooks = { streamWrite: (line: string) => escaped(line, '\\\\u') }
  return pino({ level, base: null, hooks }, stream)
}

/** A line of JSON with `before` and four digits in the place of each. */
function escaped(line: string, before: string): string {
  return line.replaceAll(OBEYED, (character) =>
    Array.from({ length: character.length }, (_, at) => character.charCodeAt(at).toString(16))
      .map((digits) => before + digits.padStart(4, '0'))
      .join(''),
  )
}
