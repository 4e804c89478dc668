// `npm test`: format and lint, types, shell scripts, then the tests; all of them even when one fails. The last
// line is `N passed, N failed`: the tests, and one failure for each step that is no test and failed.
//
//     npm test                   a short run: the slow files and one Nix of three are left to CI
//     CI=true npm test           everything
//     npm test -- test/spool     everything there; what follows -- is for vitest, and the quick steps run all the same

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
/** Of free memory; the tests use less than a tenth of it. */
const PLENTY_BYTES = 8 * 1024 ** 3
const bin = (name) => join(root, 'node_modules/.bin', name)

const scripts = shellScripts(root)
const failed = [
  step('format and lint', bin('biome'), ['check', '.']),
  step('types', bin('tsc'), ['--noEmit', '--project', 'tsconfig.json']),
  scripts.length === 0 || step('shell scripts', 'shellcheck', scripts),
].filter((succeeded) => !succeeded).length
const tests = runTests(process.argv.slice(2))

console.log(`\n${tests.passed} passed, ${tests.failed + failed} failed`)
process.exitCode = tests.failed + failed > 0 ? 1 : 0

/** Runs one step with its output shown; true when it succeeded. */
function step(title, command, args, env = {}) {
  console.log(`\n== ${title}`)
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (error) console.log(`${command} could not be run: ${error.message}`)
  else if (status !== 0) console.log(`${title}: failed`)
  return status === 0
}

/** Runs vitest and counts what it reports. */
function runTests(args) {
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-report-'))
  const report = join(dir, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  try {
    const isShort = args.length === 0 && process.env.CI !== 'true'
    const env = { TMPDIR: scratch(), ...(isShort ? { NIX_UPLOAD_TEST_SHORT: '1' } : {}) }
    const title = isShort ? 'tests (a short run; CI=true npm test has them all)' : 'tests'
    const succeeded = step(title, bin('vitest'), ['run', ...reporters, ...args], env)
    const byName = args.some((arg) => /^(-t|--testNamePattern)/.test(arg))
    return count(JSON.parse(readFileSync(report, 'utf8')), succeeded, byName)
  } catch (error) {
    // Vitest did not get as far as a report; it has said why.
    console.log(`No report of the tests: ${error.message}`)
    return { passed: 0, failed: 1 }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/**
 * Where the tests work, unless TMPDIR says where: in memory if there is plenty. They write some hundred thousand small
 * files, which takes a quarter of their time on a disk. Those about disks make their own.
 */
function scratch() {
  if (process.env.TMPDIR) return process.env.TMPDIR
  const memory = '/dev/shm'
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  const [, , , options = 'none'] = mounts.find((line) => line.split(' ')[1] === memory)?.split(' ') ?? []
  if (options === 'none' || /\b(ro|noexec|nodev|nosuid)\b/.test(options)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize < PLENTY_BYTES ? tmpdir() : memory
}

function count(report, succeeded, byName) {
  const passed = report.numPassedTests
  // A test that was skipped has proved nothing, unless someone asked for certain tests by name.
  const notRun = byName ? 0 : report.numTotalTests - passed - report.numFailedTests
  // A file that could not be loaded has no tests to count.
  const files = report.testResults.filter((file) => file.status === 'failed')
  const unloaded = files.filter(
    (file) => !file.assertionResults.some((test) => test.status === 'failed'),
  ).length
  const failed = report.numFailedTests + notRun + unloaded
  // An error outside of any test (a promise that nobody awaited) is only in the exit status.
  return { passed, failed: failed === 0 && !succeeded ? 1 : failed }
}

/** Every file that begins as a shell script does, whatever its name. */
function shellScripts(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    if (entry.isDirectory())
      return ['.git', 'dist', 'node_modules'].includes(entry.name) ? [] : shellScripts(path)
    if (!entry.isFile() || !/^[^.]+(\.sh|\.bash)?$/.test(entry.name)) return []
    return /^#! ?\S*[/ ](sh|dash|bash)\b/.test(readFileSync(path, 'utf8')) ? [relative(root, path)] : []
  })
}
