import type { Spool } from './layout.ts'
import { entriesOf, mayBeJob } from './read.ts'
import { release } from './settle.ts'
import { type Stuck, unlessStuck } from './stuck.ts'

/**
 * Returns files from `cur/` that nobody claims to `new/` (docs/SPOOL.md, T7): at start-up those that a dead daemon left,
 * later those that somebody put there by hand.
 * @param isOurs Whether this process claimed the job of that name.
 * @param onStuck Called with each file that can't be moved; it stays where it is.
 * @returns The names they have in `new/`.
 */
export function recover(
  spool: Spool,
  isOurs: (name: string) => boolean,
  onStuck: (stuck: Stuck) => void = () => undefined,
): string[] {
  const strays = [...entriesOf(spool.cur)]
    .map(({ name }) => name)
    .filter((name) => mayBeJob(name) && !isOurs(name))
  return strays.flatMap((name) => unlessStuck(name, () => release(spool, name), onStuck) ?? [])
}
