import { destination, type Logger, pino, stdTimeFunctions } from 'pino'
import type { LogLevel } from '../config/config.ts'
import { escapedJson } from '../util/printable.ts'

/** While the log can't be written, at most this many characters are kept. */
const UNWRITTEN_MAX = 1 << 20

/** From this many characters on, a burst is written at once. */
const BURST_MAX = 64 << 10

/** The log, on stderr: pretty on a terminal, JSON lines elsewhere. Names and errors in it can't steer a terminal. */
export async function makeLog(level: LogLevel): Promise<Logger> {
  if (!process.stderr.isTTY) {
    const options = {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
      hooks: { streamWrite: (line: string) => escapedJson(line) },
    }
    const stderr = destination({ dest: 2, sync: true, maxLength: UNWRITTEN_MAX })
    // If the log can't be written, on a full disk for instance, uploads go on.
    stderr.on('error', () => undefined)
    // Otherwise it would not try again to write the kept characters.
    stderr.on('drop', () => stderr.write(''))
    return pino(options, inBursts(stderr))
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
  const hooks = { streamWrite: (line: string) => escapedJson(line, '\\\\u') }
  return pino({ level, base: null, hooks }, stream)
}

interface Lines {
  write(text: string): unknown
}

/** All lines of one turn of the event loop go out in one write, at its end: dozens of jobs may be settled in a turn. */
function inBursts(to: Lines): Lines {
  let burst = ''
  const flush = () => {
    if (burst !== '') to.write(burst)
    burst = ''
  }
  process.once('exit', flush)
  return {
    write: (line) => {
      if (burst === '') setImmediate(flush)
      burst += line
      if (burst.length > BURST_MAX) flush()
    },
  }
}
