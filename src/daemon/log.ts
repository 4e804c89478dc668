import { destination, type Logger, pino, stdTimeFunctions } from 'pino'
import type { LogLevel } from '../config/config.ts'
import { escapedJson } from '../util/printable.ts'

/** Of what can't be written, so many characters are kept, until it can. */
const UNWRITTEN_MAX = 1 << 20

/** A burst of so many characters doesn't wait. */
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
    // A log that can't be written, on a full disk say, is no reason to upload nothing.
    stderr.on('error', () => undefined)
    // Otherwise it would not try again to write what it keeps.
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

/** What is logged in one turn of the event loop goes out at its end, in one write: jobs are settled by the dozen. */
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
