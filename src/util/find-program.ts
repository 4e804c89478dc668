import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * Finds a program that this process could run.
 * @param program Its name, to be looked for on the PATH, or its path.
 * @returns Its path, or undefined if there is none.
 */
export function findProgram(program: string): string | undefined {
  if (program.includes('/')) return isProgram(program) ? program : undefined
  const directories = (process.env.PATH ?? '').split(delimiter)
  return directories.map((directory) => join(directory, program)).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
