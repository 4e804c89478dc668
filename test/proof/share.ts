// How much of a proof is done: all of it with PROOF=1 (`npm run proof`), otherwise a share that is spread evenly.

export const IS_WHOLE = process.env.PROOF === '1'

/** At most `most` of these, spread evenly, the first and the last among them. */
export function spread<T>(all: readonly T[], most: number): T[] {
  if (IS_WHOLE || all.length <= most) return [...all]
  const step = (all.length - 1) / Math.max(1, most - 1)
  return all.filter((_, at) => Math.floor(at / step + 1e-9) !== Math.floor((at - 1) / step + 1e-9))
}

/** Does something for each of many, two at a time. */
export async function twoAtATime<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const work = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item)
  }
  await Promise.all([work(), work()])
}

/** Prints a line of evidence. */
export function evidence(line: string): void {
  process.stderr.write(`proof: ${line}\n`)
}
