// `npm start`: the main job once through, with real builds, the real hook and the real daemon, in a folder of its own.
//
//     npm start [-- FOLDER]      FOLDER is `tour` in the checkout unless another one is named

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { must } from '../support/run.ts'
import { logEnd, startDaemon } from './daemon.ts'
import { type Folder, makeFolder } from './folder.ts'
import { Journey } from './journey.ts'
import { heading, JourneyLines, say, show, style } from './print.ts'
import { fetchBack, fetchWithWrongKey } from './proof.ts'

const PACKAGES = join(import.meta.dirname, 'packages.nix')
const PACKAGE_COUNT = 5
/** The tour takes a few seconds; one that takes so long is stuck. */
const PATIENCE_MS = 28_000

let folder: Folder | undefined
const stuck = setTimeout(() => fail(new Error('it takes too long, so something is stuck')), PATIENCE_MS)
try {
  folder = await makeFolder(process.argv[2])
  await tour(folder)
} catch (error) {
  fail(error)
}
clearTimeout(stuck)

async function tour(folder: Folder): Promise<void> {
  const at = (path: string) => folder.short(path)
  say(`${style('bold', 'The tour of nix-upload')}, with ${folder.nix.version.name}`)

  const watch = `nix-upload watch --secret-key-file ${at(folder.secretKey)}`
  heading(
    `1. In ${at(folder.dir)}/ a Nix of its own, with bin/nix-upload-hook as post-build-hook, and a daemon`,
  )
  say(`  Started: ${watch}. Neither /nix nor your configuration is touched.`)
  const daemon = await startDaemon(folder)

  heading('2. nix-build builds five packages; these are their jobs on their way through the spool')
  const paths = await buildAndWatch(folder)

  heading('3. The daemon is stopped, and this is how things are')
  await daemon.stop()
  checkSpool(folder)
  await show(folder, 'nix-upload status')
  await show(folder, `ls -C -T 0 -w 106 ${at(folder.cache)}`, `ls ${at(folder.cache)}`)
  await show(folder, `cat ${at(folder.spool)}/done/*-hello-1.0.json`)

  heading(
    '4. The proof: another Nix with an empty store, which wants signatures, fetches them from the cache',
  )
  await fetchBack(folder, paths)
  say(
    `  trusting key.public      ${style('green', 'fetched')}, all ${paths.length}, byte for byte what was built`,
  )
  const refusal = await fetchWithWrongKey(folder, paths)
  say(`  trusting another key     ${style('green', 'refused')}, since the paths are ${refusal}`)

  heading(
    `All of that worked, in ${(performance.now() / 1000).toFixed(1)} seconds. To go on by hand, type here:`,
  )
  say(`  . ${at(join(folder.dir, 'env'))}`)
  say(`  nix-build --no-out-link test/tour/packages.nix --argstr edition two`)
  say(`  nix-upload list new`)
  say(`  nix-upload drain --secret-key-file ${at(folder.secretKey)}`)
}

/** Builds all packages while watching the spool, until every job is where it stays. Returns all that was built. */
async function buildAndWatch(folder: Folder): Promise<string[]> {
  const lines = new JourneyLines()
  const journey = new Journey(folder.spool, (arrival) => lines.arrive(arrival))
  try {
    // Strict: a hook that can't keep its promise fails this build, and so the tour. Elsewhere builds go on.
    const env = { ...folder.env, NIX_UPLOAD_STRICT: '1' }
    const built = must(await folder.nix.run('nix-build', ['--no-out-link', PACKAGES], { env }), 'build')
    lines.note('nix-build', 'has ended', journey.elapsedMs)
    await sleep(100)
    if (journey.count('new', 'cur', 'done', 'failed') < PACKAGE_COUNT) {
      throw new Error(`the hook did not queue all ${PACKAGE_COUNT} builds:\n${built.stderr}`)
    }
    while (journey.count('done', 'failed') < PACKAGE_COUNT) await sleep(10)
    const closure = await folder.nix.run('nix-store', ['-qR', built.stdout.trim()])
    return must(closure, 'list what was built').stdout.trim().split('\n')
  } finally {
    journey.end()
    lines.end()
  }
}

/** What was seen is one thing, what is there another; they had better agree. */
function checkSpool({ spool, gcroots }: Folder): void {
  const count = (name: string) => readdirSync(join(spool, name)).length
  const counts = ['tmp', 'new', 'cur', 'failed', 'done'].map(count).join(' ')
  if (counts !== `0 0 0 0 ${PACKAGE_COUNT}`) {
    throw new Error(`tmp, new, cur, failed and done should hold 0 0 0 0 ${PACKAGE_COUNT} jobs, not ${counts}`)
  }
  const roots = readdirSync(gcroots)
  if (roots.length > 0) throw new Error(`jobs that are done left GC roots in ${gcroots}: ${roots.join(' ')}`)
}

/** Ends the tour; what it started ends with this process. */
function fail(error: unknown): void {
  const why = error instanceof Error ? error.message : String(error)
  console.error(`\n${style('red', 'The tour failed')}: ${why}${folder ? logEnd(folder) : ''}`)
  process.exit(1)
}
