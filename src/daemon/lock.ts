import * as fs from 'node:fs'
import { lstatSync, rmdirSync, utimesSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { lock } from 'proper-lockfile'
import type { Spool } from '../spool/layout.ts'
import { readReport } from '../spool/report.ts'
import { isStuck } from '../spool/stuck.ts'
import { codeOf, EXIT, remedyFor, UserError, wordsOf } from '../util/user-error.ts'
import { lifeOf } from './identity.ts'

/** A lock whose time stamp is older than this is dead: its holder renews it every `RENEW_MS`. */
const STALE_MS = 10_000
const RENEW_MS = 2_000
const POLL_MS = 100
/** With any umask, nobody else may write to the lock: a file in it would prevent its release. */
const FILE_SYSTEM = {
  ...fs,
  mkdir: (path: string, done: fs.NoParamCallback) => fs.mkdir(path, 0o755, done),
}

/**
 * Takes the spool's lock. If the holder is known to be dead, its lock is taken at once, otherwise after the lock has expired. If a dead
 * holder's lock can't be removed, the daemon runs without a lock: correctness doesn't depend on it (docs/SPOOL.md).
 * @param onCompromised Called when the lock is lost while held: another daemon may be at work.
 * @param onStuck Called with a dead lock that can't be removed.
 * @returns A function that releases it.
 * @throws {UserError} with exit code 75 if a living daemon holds it.
 */
export async function takeLock(
  spool: Spool,
  onCompromised: (error: Error) => void,
  onStuck: (error: unknown) => void = () => undefined,
): Promise<() => Promise<void>> {
  const patience = STALE_MS + RENEW_MS
  let seen = renewedAt(spool)
  for (let waited = 0; ; waited += POLL_MS) {
    const isDead = holderIsDead(spool)
    // Nobody has renewed it for all this time. Its time stamp may be in the future, if the clock was set back.
    const isLeft = isDead || waited > patience
    let stuck = isLeft ? expire(spool) : undefined
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
      if (codeOf(error) !== 'ELOCKED') stuck = error
      if (stuck === error && (!isStuck(error) || renewedAt(spool) === undefined))
        throw new UserError(`can't lock the spool ${spool.root}: ${wordsOf(error)}${remedyFor(error)}`)
    }
    const renewed = renewedAt(spool)
    const isRenewed = seen !== undefined && renewed !== undefined && renewed !== seen
    if (isRenewed || holderLives(spool)) throw heldBy(spool)
    if (isLeft && stuck !== undefined) {
      onStuck(stuck)
      return async () => undefined
    }
    if (renewed !== seen) waited = 0
    seen = renewed
    await sleep(POLL_MS)
  }
}

/** Says that there is no lock, for `onStuck`. */
export function sayStuckLock(log: Logger, error: unknown): void {
  const message =
    'the lock that a dead daemon left cannot be removed, so this one works without a lock; remove it by hand'
  log.warn({ error: wordsOf(error) }, message)
}

function renewedAt(spool: Spool): number | undefined {
  return lstatSync(spool.lockDir, { throwIfNoEntry: false })?.mtimeMs
}

function holderIsDead(spool: Spool): boolean {
  const report = readReport(spool)
  return report !== undefined && report.lock === lockIdentity(spool) && lifeOf(report) === 'dead'
}

/**
 * Tells proper-lockfile that the holder is dead, by setting an expired time stamp. If the lock is another user's directory, we
 * can't set its time stamp, but may remove it from our spool.
 * @returns Why neither can be done.
 */
function expire(spool: Spool): unknown {
  let failed: unknown
  for (const act of [() => utimesSync(spool.lockDir, 0, 0), () => rmdirSync(spool.lockDir)]) {
    try {
      act()
      return undefined
    } catch (error) {
      if (codeOf(error) === undefined) throw error
      if (codeOf(error) === 'ENOENT') return undefined
      failed = error
    }
  }
  return failed
}

/** Distinguishes the present lock from later ones; a directory's inode alone may be used again. */
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
    `${who} is delivering ${spool.root} already; it delivers the waiting jobs too, and \`nix-upload status\` shows how far it is`,
    EXIT.tryLater,
  )
}
