import * as fs from 'node:fs'
import { lstatSync, utimesSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { lock } from 'proper-lockfile'
import type { Spool } from '../spool/layout.ts'
import { readReport } from '../spool/report.ts'
import { codeOf, EXIT, UserError, wordsOf } from '../util/user-error.ts'
import { lifeOf } from './identity.ts'

/** A lock whose time stamp is older than this is dead: its holder renews it every `RENEW_MS`. */
const STALE_MS = 10_000
const RENEW_MS = 2_000
const POLL_MS = 100
/** Nobody else's to write in, whatever the umask: what somebody laid in the lock would keep it from being given back. */
const FILE_SYSTEM = {
  ...fs,
  mkdir: (path: string, done: fs.NoParamCallback) => fs.mkdir(path, 0o755, done),
}

/**
 * Takes the spool's lock. A dead holder is waited out, and where its death can be proven, not even waited for.
 * @param onCompromised Called when the lock is lost while held: another daemon may be at work.
 * @returns A function that gives it back.
 * @throws {UserError} with exit code 75 where a living holder has it.
 */
export async function takeLock(
  spool: Spool,
  onCompromised: (error: Error) => void,
): Promise<() => Promise<void>> {
  const patience = STALE_MS + RENEW_MS
  let seen = renewedAt(spool)
  for (let waited = 0; ; waited += POLL_MS) {
    expireIfHolderIsDead(spool)
    try {
      return await lock(spool.root, {
        lockfilePath: spool.lockDir,
        stale: STALE_MS,
        update: RENEW_MS,
        realpath: false,
        fs: FILE_SYSTEM,
        onCompromised,
      })
    } catch (error) {
      if (codeOf(error) !== 'ELOCKED')
        throw new UserError(`can't lock the spool ${spool.root}: ${wordsOf(error)}`)
    }
    const renewed = renewedAt(spool)
    const isRenewed = seen !== undefined && renewed !== undefined && renewed !== seen
    if (isRenewed || holderLives(spool)) throw heldBy(spool)
    if (renewed !== seen) waited = 0
    seen = renewed
    // Nobody has renewed it for so long, whatever its time stamp says: the clock may have been set back.
    if (waited > patience) expire(spool)
    await sleep(POLL_MS)
  }
}

function renewedAt(spool: Spool): number | undefined {
  return lstatSync(spool.lockDir, { throwIfNoEntry: false })?.mtimeMs
}

/** Tells proper-lockfile what it can't know, that the holder is gone, by letting its time stamp expire. */
function expireIfHolderIsDead(spool: Spool): void {
  const report = readReport(spool)
  if (report && report.lock === lockIdentity(spool) && lifeOf(report) === 'dead') expire(spool)
}

function expire(spool: Spool): void {
  try {
    utimesSync(spool.lockDir, 0, 0)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

/** Tells the lock that is there from one that was made after it; a directory's inode alone is used again. */
export function lockIdentity(spool: Spool): string {
  const stats = lstatSync(spool.lockDir, { throwIfNoEntry: false })
  return stats ? `${stats.ino} ${stats.birthtimeMs}` : 'none'
}

function holderLives(spool: Spool): boolean {
  const report = readReport(spool)
  return report !== undefined && lifeOf(report) === 'alive'
}

function heldBy(spool: Spool): UserError {
  const report = readReport(spool)
  const who = report ? `process ${report.pid}` : 'another process'
  return new UserError(
    `${who} is delivering ${spool.root} already; what waits is in its hands. \`nix-upload status\` shows how it goes`,
    EXIT.tryLater,
  )
}
