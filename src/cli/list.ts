import type { ArgumentsCamelCase, Argv } from 'yargs'
import type { DeliveryRecord, Job } from '../spool/job.ts'
import { existingSpool, STATES, type State } from '../spool/layout.ts'
import { type Found, jobsIn } from '../spool/survey.ts'
import { formatDuration } from '../util/duration.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { counted, jsonOf, print, printable } from './print.ts'

export const command = 'list [state]'
export const describe = 'List the jobs, one per line'

export const builder = (yargs: Argv) =>
  withCommon(yargs)
    .positional('state', { choices: STATES, describe: 'Only jobs in this state' })
    .option('json', { type: 'boolean', default: false, describe: 'Print a JSON array' })

export async function handler(
  args: ArgumentsCamelCase<CommonOptions & { state: State | undefined; json: boolean }>,
): Promise<void> {
  const config = await configFor(args)
  const spool = existingSpool(config.spool)
  const states = args.state ? [args.state] : STATES
  let isFirst = true
  for (const found of jobsIn(spool, states)) {
    if (args.json) await print(`${isFirst ? '[\n' : ',\n'}  ${jsonOf(jobAsJson(found))}`)
    else await print(line(found))
    isFirst = false
  }
  if (args.json) await print(isFirst ? '[]\n' : '\n]\n')
}

/** A job as `list --json` and `show --json` print it. */
export function jobAsJson({ name, state, job, reason }: Found) {
  return {
    job: name,
    state,
    drvPath: job?.drvPath ?? null,
    outPaths: job?.outPaths ?? [],
    queuedAt: job?.queuedAt ?? null,
    attempts: job ? attemptsOf(job) : 0,
    lastError: job ? lastErrorOf(job) : (reason ?? null),
  }
}

function attemptsOf(job: Job): number {
  return Math.max(0, ...Object.values(job.destinations).map(({ attempts }) => attempts))
}

function lastErrorOf(job: Job): string | null {
  const errors = Object.values(job.destinations).filter(hasError)
  const latest = errors.sort((a, b) => (a.lastAttemptAt ?? '').localeCompare(b.lastAttemptAt ?? '')).at(-1)
  return latest?.error ?? null
}

function hasError(record: DeliveryRecord): boolean {
  return record.error !== undefined
}

function line(found: Found): string {
  const { name, state, queuedAt, attempts, lastError } = { name: found.name, ...jobAsJson(found) }
  const age = queuedAt === null ? '' : formatDuration(Date.now() - Date.parse(queuedAt))
  const tries = attempts > 0 ? `${counted(attempts, 'attempt')}: ` : ''
  const what = lastError === null ? '' : `  ${tries}${printable(lastError)}`
  return `${state.padEnd(6)}  ${age.padStart(7)}  ${printable(name)}${what}\n`
}
