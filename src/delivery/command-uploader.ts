import type { Command, Destination } from '../config/config.ts'
import { NixFailure } from '../nix/failure.ts'
import { messagesOf } from '../nix/messages.ts'
import { run } from '../util/run-program.ts'
import { EXIT } from '../util/user-error.ts'
import { UploadFailure } from '../util/verdict.ts'
import type { Uploader } from './uploader.ts'

/**
 * Uploads with the user's program. Its exit status means: 0, done; 75 (EX_TEMPFAIL), trouble at the destination,
 * try later; anything else, a failure of the jobs.
 */
export function commandUploader({ argv, paths: mode }: Command, destination: Destination): Uploader {
  const [program, ...rest] = argv
  const send: Uploader['send'] = async (paths, _drvPaths, signal) => {
    const given =
      mode === 'arguments' ? { args: [...rest, ...paths] } : { args: rest, input: `${paths.join('\n')}\n` }
    const { args, ...input } = given
    const options = { ...input, silenceMs: destination.progressTimeoutMs, signal }
    const { exitCode, lines, ended } = await run(program, args, options)
    if (exitCode === 0) return new Map()
    const messages = messagesOf(lines)
    if (ended) throw new NixFailure(messages, ended)
    const how = exitCode === undefined ? 'was ended by a signal' : `exited with ${exitCode}`
    const message = `${program} ${how}: ${messages.slice(-3).join('; ') || 'it said nothing'}`
    const blame = exitCode === EXIT.tryLater || exitCode === undefined ? 'destination' : 'job'
    throw new UploadFailure({ blame, permanent: false, message })
  }
  // An unknown program can't be asked anything harmless; its exit status is all there is.
  return { send, probe: () => Promise.resolve() }
}
