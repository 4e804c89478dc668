import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { narinfoName, placeholder } from '../../nix/narinfo.ts'
import type { StoreObject } from '../../nix/store-server.ts'

/** What a path refers to that isn't packed along with it is taken by Nix to be there. */
export async function layPlaceholders(objects: readonly StoreObject[], directory: string): Promise<void> {
  const own = new Set(objects.map(({ path }) => path))
  const others = new Set(objects.flatMap(({ references }) => references.filter((path) => !own.has(path))))
  for (const path of others) await writeFile(join(directory, narinfoName(path)), placeholder(path))
}
