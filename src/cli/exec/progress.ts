import { Writable } from 'node:stream'
import { pino } from 'pino'
import type { EmbeddedDaemon } from '../../daemon/embedded-daemon.ts'
import type { Spool } from '../../spool/layout.ts'
import { count } from '../../spool/survey.ts'
import { formatDuration } from '../../util/duration.ts'
import { isObject } from '../../util/is-object.ts'
import { printable, say } from '../print.ts'

/** Between two lines: Nix writes to the same place, and a CI job's log is read later. */
const EVERY_MS = 5_000

/** Says now and then how far the uploads are, when that is another than before. */
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

  /** Says it now, unless it was the last thing said. */
  say(): void {
    const line = this.#line()
    if (line !== undefined && line !== this.#last) say(`nix-upload: ${line}`)
    this.#last = line ?? ''
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** How many jobs are neither done nor given up. */
  get left(): number {
    return count(this.#spool, 'new').jobs + count(this.#spool, 'cur').jobs
  }

  #line(): string | undefined {
    const { done, failed, destinations } = this.#daemon.standing()
    const { left } = this
    if (done + failed + left === 0) return undefined
    const down = Object.entries(destinations).flatMap(([name, { state, nextAttemptAt }]) => {
      if (state !== 'down' || nextAttemptAt === undefined) return []
      return [`${name} is down and tried again in ${formatDuration(Date.parse(nextAttemptAt) - Date.now())}`]
    })
    const parts = [`${done} uploaded`, ...(failed > 0 ? [`${failed} failed`] : []), `${left} to go`, ...down]
    return parts.join(', ')
  }
}

/** A log in words, of what is worth a warning: who reads it reads a build's output, not a daemon's. */
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
