// Power cuts: what a disk has at an instant of a recorded run. The filesystem's own cache is gone in any case.

import { closeSync, openSync, writeSync } from 'node:fs'
import { copySparse, type Disks, type Recording } from './disks.ts'
import type { Recorded } from './log.ts'

/**
 * `kept`: the disk's cache is kept, so that all is there that it was given.
 * `lost`: what was not flushed is gone.
 * `torn`: of what was not flushed any block may be gone, whatever came of the others.
 */
export const LOSSES = ['kept', 'lost', 'torn'] as const
export type Loss = (typeof LOSSES)[number]

export interface Cut {
  /** Behind how many records the power goes. */
  count: number
  loss: Loss
}

/** What a disk writes at once or not at all. */
const BLOCK_BYTES = 4096

/** Does something with the disks mounted as they are after a power cut. */
export async function afterCut<T>(
  disks: Disks,
  { before, records }: Recording,
  { count, loss }: Cut,
  act: () => Promise<T>,
): Promise<T> {
  const images = disks.names.map((name, disk) => {
    const image = disks.scratch(name)
    copySparse(before[disk] ?? '', image)
    const own = records.slice(0, count).filter((record) => record.disk === disk)
    const flushed = own.findLastIndex(({ kind }) => kind === 'flush')
    const isCertain = (at: number) => loss === 'kept' || at < flushed
    const random = randomFrom(count + disk)
    const file = openSync(image, 'r+')
    for (const [at, record] of own.entries()) {
      if (isCertain(at)) writeSync(file, record.data, 0, record.size, record.offset)
      else if (loss === 'torn') writeSome(file, record, random)
    }
    closeSync(file)
    return image
  })
  return await disks.mounted(images, act)
}

function writeSome(file: number, { data, offset }: Recorded, random: () => number): void {
  for (let at = 0; at < data.length; at += BLOCK_BYTES) {
    if (random() < 0.5) writeSync(file, data, at, Math.min(BLOCK_BYTES, data.length - at), offset + at)
  }
}

/** Cuts all over a run, `most` at most, with each way to lose something in turn. */
export function cutsOf({ records }: Recording, most: number): Cut[] {
  const step = Math.max(1, records.length / most)
  const cuts: Cut[] = []
  for (let at = 0; at < Math.min(most, records.length); at++) {
    cuts.push({ count: Math.floor((at + 1) * step), loss: LOSSES[at % LOSSES.length] ?? 'kept' })
  }
  return cuts
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
