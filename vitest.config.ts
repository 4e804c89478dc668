import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { IS_SHORT } from './test/support/nix-versions.mjs'

// The tests start Node some two thousand times.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/node')

/** The slow files: a short run leaves them to CI. They boot machines, or stop a program at each of many points. */
const SLOW = [
  ...['deb', 'systemd', 'nix-module'].map((room) => `${room}/booted`),
  ...['collector', 'errors', 'kill', 'power-cut', 'real-nix', 'soak', 'watch', 'writer-kill'].map(
    (name) => `proof/${name}`,
  ),
].map(testFile)

/** The files that take longest, longest first, so that none of them is still at work when all others are through. */
const LONGEST = [
  'deb/booted',
  'nix-module/module',
  'delivery/blame/http',
  'proof/errors',
  'systemd/booted',
  'integration/multi-user',
  'delivery/isolation',
  'delivery/blame/ssh',
  'delivery/backfill',
  'cli/exec/nix',
  'proof/kill',
  'systemd/init',
  'delivery/silence',
  'cli/doctor/doctor',
  'nix/temporary-roots',
  'cli/doctor/every-nix',
  'delivery/down',
  'delivery/blame/job',
  'nix-module/booted',
  'proof/real-nix',
].map(testFile)

function testFile(name: string): string {
  const file = join(import.meta.dirname, `test/${name}.test.ts`)
  if (!existsSync(file)) throw new Error(`vitest.config.ts: there is no ${file}`)
  return file
}

/** Those first, then the others as vitest has them: by their time in the last run, or by size where there was none. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeOf = ({ moduleId }: TestSpecification) => {
      const at = LONGEST.indexOf(moduleId)
      return at === -1 ? LONGEST.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => placeOf(a) - placeOf(b))
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(IS_SHORT ? SLOW : [])],
    // Most tests run real programs: Nix, servers, the daemon. On a loaded machine those take their time.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    // A process for each file, because tests change the environment and the working directory. Six at once, also on
    // two cores: most wait for time-outs, polls and other programs' starts most of the time.
    pool: 'forks',
    maxWorkers: 6,
    sequence: { sequencer: LongestFirst },
  },
})
