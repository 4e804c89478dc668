import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// The tests start Node some two thousand times.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/node')

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most tests run real programs: Nix, servers, the daemon. On a loaded machine those take their time.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    // A process for each file, because tests change the environment and the working directory. Three at once, also on
    // two cores: they wait for timers and disks half of the time.
    pool: 'forks',
    maxWorkers: 3,
  },
})
