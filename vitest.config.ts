import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most tests run real programs: Nix, servers, the daemon. On a loaded machine those take their time.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A process for each file, because tests change the environment and the working directory. Not more than two
    // at once: what they start is busy too.
    pool: 'forks',
    maxWorkers: 2,
  },
})
