// What the tour looks like.

import { styleText } from 'node:util'
import { runProgram } from '../support/run.ts'
import { CHECKOUT, type Folder } from './folder.ts'
import type { Arrival } from './journey.ts'

const NAME_WIDTH = 15

export function say(text = ''): void {
  console.log(text)
}

export function heading(title: string): void {
  say(`\n${style('bold', title)}`)
}

/** Colours on a terminal, and there too only without NO_COLOR. */
export function style(format: 'bold' | 'dim' | 'green' | 'red', text: string): string {
  return styleText(format, text, { stream: process.stdout })
}

/** Jobs on their way, a line each as long as they don't overtake each other. */
export class JourneyLines {
  #job: string | undefined
  #hasBegun = false

  /** Goes on with the job's line, or begins another one. */
  arrive({ job, state, atMs }: Arrival): void {
    if (job !== this.#job) this.#begin(packageOf(job), state === 'new' ? '' : '…')
    this.#job = job
    const place = `${state}/`
    const arrow = state === 'new' ? '' : ' → '
    const colour = state === 'done' ? 'green' : 'red'
    const isLast = state === 'done' || state === 'failed'
    process.stdout.write(`${arrow}${isLast ? style(colour, place) : place} ${style('dim', seconds(atMs))}`)
  }

  /** Something else that happened. */
  note(what: string, text: string, atMs: number): void {
    this.#begin(what, `${text} ${style('dim', seconds(atMs))}`)
    this.#job = undefined
  }

  end(): void {
    if (this.#hasBegun) say()
  }

  #begin(what: string, text: string): void {
    process.stdout.write(`${this.#hasBegun ? '\n' : ''}  ${what.padEnd(NAME_WIDTH)}${text}`)
    this.#hasBegun = true
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`
}

/** `hello-1.0` of a job's name. The daemon reads nothing into names, but people may. */
function packageOf(job: string): string {
  return job.replace(/^\w+-\w+-/, '').replace(/\.json$/, '')
}

/** Runs a command in the checkout and shows both, as a terminal would. */
export async function show(folder: Folder, command: string, shown = command): Promise<void> {
  say(`  ${style('dim', '$')} ${shown}`)
  const result = await runProgram('sh', ['-c', command], { env: folder.env, cwd: CHECKOUT })
  const text = `${result.stdout}\n${result.stderr}`.trimEnd()
  if (result.exitCode !== 0) throw new Error(`${shown} exited with ${result.exitCode}:\n${text}`)
  for (const line of text.split('\n').filter((line) => line !== '')) say(`  ${line}`)
}
