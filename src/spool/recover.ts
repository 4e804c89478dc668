import type { Spool } from './layout.ts'
import { entriesOf, mayBeJob } from './read.ts'
import { release } from './settle.ts'
import { type Stuck, unlessStuck } from './stuck.ts'

/**
 * Returns to `new/` what lies in `cur/` and is nobody's (docs/SPOOL.md, T7): at start-up what a dead daemon left,
 * later what somebody put there by hand.
 * @param isOurs Whether this process claimed the job of that name.
 * @param onStuck Told of what can't be moved, which stays where it is.
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
