import type { ArgumentsCamelCase, Argv } from 'yargs'
import { existingSpool } from '../spool/layout.ts'
import { type Found, findJob } from '../spool/survey.ts'
import { jobAsJson } from './list.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { colour, counted, print, printable, printJson, table } from './print.ts'

export const command = 'show <job>'
export const describe = 'Show one job: its paths, its destinations, and the results'

export const builder = (yargs: Argv) =>
  withCommon(yargs)
    .positional('job', { type: 'string', demandOption: true, describe: 'Its name, or any unique part of it' })
    .option('json', { type: 'boolean', default: false, describe: 'Print JSON' })

export async function handler(
  args: ArgumentsCamelCase<CommonOptions & { job: string; json: boolean }>,
): Promise<void> {
  const config = await configFor(args)
  const found = findJob(existingSpool(config.spool), args.job)
  if (args.json) {
    const { destinations = {}, history = [] } = found.job ?? {}
    await printJson({ ...jobAsJson(found), path: found.path, destinations, history })
  } else {
    await print(asText(found))
  }
}

function asText({ name, state, path, job, reason }: Found): string {
  const rows = [
    ['job', colour('bold', printable(name))],
    ['state', state],
    ['file', printable(path)],
  ]
  if (!job) return table([...rows, ['reason', printable(reason ?? 'no valid job')]])
  if (job.drvPath !== undefined) rows.push(['drvPath', printable(job.drvPath)])
  rows.push(...job.outPaths.map((outPath, at) => [at === 0 ? 'outPaths' : '', printable(outPath)]))
  if (job.queuedAt !== undefined) rows.push(['queuedAt', printable(job.queuedAt)])
  for (const [destination, record] of Object.entries(job.destinations)) {
    const when = record.settledAt ?? record.lastAttemptAt ?? ''
    const attempts = record.attempts > 0 ? `, ${counted(record.attempts, 'failed attempt')}` : ''
    rows.push(['', ''], [printable(destination), `${record.state} ${printable(when)}${attempts}`])
    for (const text of [record.error, record.note]) if (text !== undefined) rows.push(['', printable(text)])
  }
  if (job.history.length > 0) {
    rows.push(
      ['', ''],
      ['history', `requeued ${printable(job.history.map(({ requeuedAt }) => requeuedAt).join(', '))}`],
    )
  }
  return table(rows)
}
