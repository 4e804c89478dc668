import type { Config } from '../../config/config.ts'
import type { Spool } from '../../spool/layout.ts'
import { wordsOf } from '../../util/user-error.ts'
import type { Service } from './service.ts'

/** What came of a look at one thing. */
export interface Check {
  name: string
  /** A `warn` is worth knowing; only a `fail` keeps uploads from working, now or soon. */
  state: 'ok' | 'warn' | 'fail' | 'skipped'
  /** What was seen, in words. */
  what: string
  /** What to do about it. */
  remedy?: string
}

/** What the checks look at. */
export interface Patient {
  config: Config
  spool: Spool
  service: Service
  storeDir: string
}

export function ok(name: string, what: string): Check {
  return { name, state: 'ok', what }
}

export function warn(name: string, what: string, remedy: string): Check {
  return { name, state: 'warn', what, remedy }
}

export function fail(name: string, what: string, remedy: string): Check {
  return { name, state: 'fail', what, remedy }
}

export function skipped(name: string, what: string, remedy: string): Check {
  return { name, state: 'skipped', what, remedy }
}

/** The outcome of one look; where that can't be made at all, it says why. */
export async function attempt(
  name: string,
  look: () => Check[] | Promise<Check[]>,
  remedy = 'Mend that, then run doctor again',
): Promise<Check[]> {
  try {
    return await look()
  } catch (error) {
    return [fail(name, `could not be looked at: ${wordsOf(error)}`, remedy)]
  }
}
