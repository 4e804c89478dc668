import type { ArgumentsCamelCase, Argv } from 'yargs'
import { existingSpool } from '../spool/layout.ts'
import { requeue } from '../spool/settle.ts'
import { findJob, namesIn } from '../spool/survey.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { becomeOwner } from './owner.ts'
import { print, printable, say } from './print.ts'

export const command = 'requeue [job..]'
export const describe = 'Move failed jobs back to new/, with a fresh budget of attempts'

export const builder = (yargs: Argv) =>
  withCommon(yargs)
    .positional('job', {
      type: 'string',
      array: true,
      describe: 'Names of failed (or done) jobs, or unique parts of them',
    })
    .option('all', { type: 'boolean', default: false, describe: 'All failed jobs' })

export async function handler(
  args: ArgumentsCamelCase<CommonOptions & { job: string[] | undefined; all: boolean }>,
): Promise<void> {
  const parts = args.job ?? []
  if (args.all === parts.length > 0) throw new UserError('name the jobs to requeue, or say --all', EXIT.usage)
  const config = await configFor(args)
  becomeOwner(config.spool)
  const spool = existingSpool(config.spool)
  if (args.all) {
    for (const name of namesIn(spool, 'failed')) await report(requeue(spool, 'failed', name))
    return
  }
  for (const part of parts) {
    try {
      const { state, name } = findJob(spool, part, ['failed', 'done'])
      await report(requeue(spool, state, name))
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      say(`nix-upload: ${printable(error.message)}`)
      process.exitCode = EXIT.failed
    }
  }
}

async function report(name: string | undefined): Promise<void> {
  if (name !== undefined) await print(`${printable(name)}\n`)
}
