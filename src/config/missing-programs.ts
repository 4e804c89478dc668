import { EXIT, UserError } from '../util/user-error.ts'
import { compressionOf, missingProgram } from './compression.ts'
import type { Destination } from './config.ts'
import { parametersOf } from './store-parameters.ts'

/**
 * Some compressions need a program, and so does a process that delivers.
 * @throws {UserError} if it is not there.
 */
export function refuseMissingPrograms(destinations: readonly Destination[]): void {
  for (const { name, to, via, command } of destinations) {
    if (command || via !== 'writer') continue
    const compression = compressionOf(parametersOf(to))
    const program = missingProgram(compression)
    if (program === undefined) continue
    throw new UserError(
      `destination "${name}": compression=${compression.name} needs the program "${program}", which is not on the PATH: ` +
        'install it, or use zstd',
      EXIT.badConfig,
    )
  }
}
