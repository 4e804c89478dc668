import { destination, type Logger, pino, stdTimeFunctions } from 'pino'
import type { LogLevel } from '../config/config.ts'

/** The log, on stderr: pretty on a terminal, JSON lines elsewhere. */
export async function makeLog(level: LogLevel): Promise<Logger> {
  if (!process.stderr.isTTY) {
    const options = {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
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
  return pino({ level, base: null }, stream)
}
