// `npm run every-nix`: all tests with each Nix that is at hand, one after the other. The last lines say how it went with each.
//
//     npm run every-nix -- test/cli     what follows -- is for vitest

import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { everyNix } from '../test/support/nix-versions.mjs'

const script = join(dirname(fileURLToPath(import.meta.url)), 'test.mjs')
const results = []
for (const { name, version } of await everyNix()) {
  console.log(`\n==== with ${name}`)
  results.push({ name, ...(await runTests(version)) })
}

console.log()
for (const { name, lastLine } of results) console.log(`${name}: ${lastLine}`)
process.exitCode = results.some(({ status }) => status !== 0) ? 1 : 0

/** Runs them with one Nix alone, and passes on what they print. */
function runTests(version) {
  const env = { ...process.env, CI: 'true', NIX_UPLOAD_TEST_ONLY: version }
  const tests = spawn(process.execPath, [script, ...process.argv.slice(2)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let lastLine = 'no result'
  tests.stdout.setEncoding('utf8').on('data', (text) => {
    process.stdout.write(text)
    lastLine = /\d+ passed, \d+ failed(?=\n$)/.exec(text)?.[0] ?? lastLine
  })
  return new Promise((resolve) => {
    tests.on('close', (status) => resolve({ status, lastLine }))
  })
}
