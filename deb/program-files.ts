import { execFileSync } from 'node:child_process'
import { lstatSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'

/** What Node never reads: source maps, types, pages, tests of libraries. */
const NOT_NEEDED = /\.(map|[cm]?ts|md|markdown|flow)$|\/(test|tests|docs?|example|examples|\.github)\//

/**
 * Every file that the program takes to run, of the project and of the libraries that aren't for development.
 * @returns Each with its path below the program's directory.
 */
export function* programFiles(project: string): Generator<[from: string, to: string]> {
  for (const directory of ['bin', 'dist']) yield* filesBelow(project, join(project, directory))
  const args = ['ls', '--all', '--omit=dev', '--parseable']
  const listed = execFileSync('npm', args, { cwd: project, stdio: ['ignore', 'pipe', 'ignore'] }).toString()
  const modules = new Set(listed.trim().split('\n').slice(1))
  for (const path of [...modules].sort()) {
    for (const [from, to] of filesBelow(project, path)) {
      if (!NOT_NEEDED.test(to.slice(relative(project, path).length))) yield [from, to]
    }
  }
}

/** Without hidden files, and without the modules of a module: those are listed by themselves. */
function* filesBelow(project: string, directory: string): Generator<[from: string, to: string]> {
  for (const name of readdirSync(directory).sort()) {
    if (name.startsWith('.') || name === 'node_modules') continue
    const path = join(directory, name)
    const stats = lstatSync(path)
    if (stats.isDirectory()) yield* filesBelow(project, path)
    else if (stats.isFile()) yield [path, relative(project, path)]
  }
}
