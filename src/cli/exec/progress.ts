import { Writable } from 'node:stream'
import { pino } from 'pino'
import type { EmbeddedDaemon } from '../../daemon/embedded-daemon.ts'
import type { Spool } from '../../spool/layout.ts'
import { count } from '../../spool/survey.ts'
import { formatDuration } from '../../util/duration.ts'
import { isObject } from '../../util/is-object.ts'
import { printable, say } from '../print.ts'

/** The time between two lines: Nix prints to the same terminal, and the log of a CI job is read later. */
const EVERY_MS = 5_000

/** Prints the progress of the uploads from time to time, if it has changed. */
export class Progress {
  readonly #daemon: EmbeddedDaemon
  readonly #spool: Spool
  readonly #timer: NodeJS.Timeout
  #last = ''

  constructor(daemon: EmbeddedDaemon, spool: Spool) {
    this.#daemon = daemon
    this.#spool = spool
    this.#timer = setInterval(() => this.say(), EVERY_MS)
  }

  /** Prints it now, unless it is the same as the last time. */
  say(): void {
    const line = this.#line()
    if (line !== undefined && line !== this.#last) say(`nix-upload: ${line}`)
    this.#last = line ?? ''
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** How many jobs are neither in done/ nor in failed/. */
  get left(): number {
    return count(this.#spool, 'new').jobs + count(this.#spool, 'cur').jobs
  }

  #line(): string | undefined {
    const { done, failed, destinations } = this.#daemon.standing()
    const { left } = this
    if (done + failed + left === 0) return undefined
    const down = Object.entries(destinations).flatMap(([name, { state, nextAttemptAt }]) => {
      if (state !== 'down' || nextAttemptAt === undefined) return []
      return [`${name} is down, next attempt in ${formatDuration(Date.parse(nextAttemptAt) - Date.now())}`]
    })
    const parts = [`${done} uploaded`, ...(failed > 0 ? [`${failed} failed`] : []), `${left} to go`, ...down]
    return parts.join(', ')
  }
}

/** A log of warnings and errors as plain text, since it appears in the output of a build. */
export function wordyLog() {
  const stream = new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      say(wordsOfLine(line))
      done()
    },
  })
  return pino({ level: 'warn', base: null }, stream)
}

function wordsOfLine(line: string): string {
  const value: unknown = JSON.parse(line)
  if (!isObject(value)) return line
  const { msg, error, job, destination } = value
  const about = [destination, job].filter((name) => name !== undefined).join(', ')
  return `nix-upload: ${printable([about, msg, error].filter((part) => part !== undefined && part !== '').join(': '))}`
}
