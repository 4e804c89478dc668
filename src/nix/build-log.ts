import { type ChildProcess, spawn } from 'node:child_process'
import { workingDirectory } from '../util/run-program.ts'

/** A log up to this size is kept in memory. */
const SMALL_BYTES = 1024 * 1024

/** The log of a build: its bytes, or how to read it from its beginning. */
export type BuildLog = Buffer | ((signal: AbortSignal) => AsyncIterable<Uint8Array>)

/**
 * Reads the log of a build, uncompressed.
 * @returns undefined if there is none here: substituted paths have none.
 * @throws A system error if Nix can't be run.
 */
export async function buildLog(drvPath: string, signal: AbortSignal): Promise<BuildLog | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of readLog(drvPath, signal)) {
      chunks.push(chunk)
      size += chunk.length
      if (size > SMALL_BYTES) return (other) => readLog(drvPath, other)
    }
    return Buffer.concat(chunks)
  } catch (error) {
    if (error instanceof NoLog) return undefined
    throw error
  }
}

/** Nix ended before it had printed the whole log. */
export class LogCutOff extends Error {
  override name = 'LogCutOff'
}

/** Nix has no log of that build. */
class NoLog extends Error {
  override name = 'NoLog'
}

async function* readLog(drvPath: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const child = spawn('nix-store', ['--read-log', drvPath], {
    cwd: workingDirectory(),
    stdio: ['ignore', 'pipe', 'ignore'],
    signal,
  })
  const ended = exitOf(child)
  ended.catch(() => undefined)
  try {
    let isEmpty = true
    for await (const chunk of child.stdout) {
      isEmpty = false
      yield chunk
    }
    const code = await ended
    // Without a log it prints nothing and fails.
    if (code !== 0 && isEmpty) throw new NoLog(drvPath)
    if (code !== 0) throw new LogCutOff(`nix-store --read-log ${drvPath} was cut off`)
  } finally {
    child.kill()
  }
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}
