import type { ArgumentsCamelCase, Argv } from 'yargs'
import { GcRoots } from '../nix/gc-roots.ts'
import { storeDirectory } from '../nix/local-store.ts'
import { existingSpool, type Spool, type State } from '../spool/layout.ts'
import { type Protected, protectNext } from '../spool/protect.ts'
import { requeue } from '../spool/settle.ts'
import { findJob, namesIn } from '../spool/survey.ts'
import { EXIT, UserError, wordsOf } from '../util/user-error.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { asOwner } from './owner.ts'
import { print, printable, printableLines, say } from './print.ts'
import { AT_ONCE, sayGone } from './queue.ts'
import { tryToSync, tryToTell } from './tell-collector.ts'

export const command = 'requeue [job..]'
export const describe = 'Move failed jobs back to new/, and count their attempts from zero'

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
  if (args.all === parts.length > 0) throw new UserError('name the jobs to requeue, or use --all', EXIT.usage)
  const config = await configFor(args)
  const spool = asOwner(config.spool, () => existingSpool(config.spool))
  const roots = new GcRoots(config.gcroots)
  const storeDir = await storeDirectory()
  let chunk: Protected[] = []
  const flush = async () => {
    await requeueChunk(spool, roots, chunk)
    chunk = []
  }
  const found = args.all ? allFailed(spool) : theseJobs(spool, parts)
  for (const { state, name } of found) {
    const job = asOwner(spool.root, () => protectNext(spool, roots, storeDir, state, name))
    if (job.rootsError !== undefined) sayUnprotected(name, job.rootsError)
    chunk.push(job)
    if (chunk.length === AT_ONCE) await flush()
  }
  await flush()
}

function* allFailed(spool: Spool): Generator<{ state: State; name: string }> {
  const names = namesIn(spool, 'failed')
  for (;;) {
    const { done, value: name } = asOwner(spool.root, () => names.next())
    if (done) return
    yield { state: 'failed', name }
  }
}

/** A name without a job is reported and fails the command, but the others are requeued. */
function* theseJobs(spool: Spool, parts: readonly string[]): Generator<{ state: State; name: string }> {
  for (const part of parts) {
    try {
      yield asOwner(spool.root, () => findJob(spool, part, ['failed', 'done']))
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      say(`nix-upload: ${printableLines(error.message)}`)
      process.exitCode = EXIT.failed
    }
  }
}

/** Moves jobs that have their roots, after a running garbage collection was told of them. */
async function requeueChunk(spool: Spool, roots: GcRoots, jobs: readonly Protected[]): Promise<void> {
  // This comes before the jobs move, so that a job in new/ has its roots even after a power cut.
  if (jobs.some(({ newlyRooted }) => newlyRooted.length > 0)) await tryToSync(roots)
  const gone = await tryToTell(jobs.flatMap(({ paths }) => paths))
  for (const { state, name, target, paths, newlyRooted } of jobs) {
    const missing = paths.filter((path) => gone.has(path))
    if (missing.length > 0) {
      sayGone(missing, `${name} is left in ${state}/`, '; build it again, or delete the job')
      asOwner(spool.root, () => roots.release(target, newlyRooted))
      continue
    }
    const moved = asOwner(spool.root, () => requeue(spool, state, name))
    if (moved !== undefined) await print(`${printable(moved)}\n`)
  }
}

function sayUnprotected(name: string, error: unknown): void {
  const why = printable(wordsOf(error))
  say(`nix-upload: ${printable(name)}: without GC roots its paths may be collected before the upload: ${why}`)
}
