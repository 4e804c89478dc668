import type { Command, Destination } from '../config/config.ts'
import { NixFailure } from '../nix/failure.ts'
import { messagesOf } from '../nix/messages.ts'
import { run } from '../util/run-program.ts'
import { EXIT } from '../util/user-error.ts'
import { UploadFailure } from '../util/verdict.ts'
import type { Uploader } from './uploader.ts'

/**
 * Uploads with a program of the user's. Its exit status tells: 0 done, 75 (EX_TEMPFAIL) the destination's trouble,
 * try later, anything else the jobs' own failure.
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
  // There is nothing harmless to ask of a program that we don't know; its exit status told all it could.
  return { send, probe: () => Promise.resolve() }
}
