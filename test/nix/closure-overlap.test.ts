import { afterEach, expect, test, vi } from 'vitest'
import { relatedTo } from '../../src/nix/closure-overlap.ts'
import { NixFailure } from '../../src/nix/failure.ts'
import { StoreSession } from '../../src/nix/store-session.ts'
import { everyNix } from '../support/nix-versions.mjs'
import { makePrivateNix } from '../support/private-nix.ts'

const signal = new AbortController().signal

afterEach(() => vi.unstubAllEnvs())

test.each(await everyNix())('what belongs together, with $name', async (version) => {
  const nix = await makePrivateNix(version, { name: 'related' })
  for (const [name, value] of Object.entries(nix.env)) vi.stubEnv(name, value)
  const store = new StoreSession()
  try {
    const build = async (name: string, deps: string[] = []) =>
      (await nix.build({ name, deps })).outPaths[0] ?? ''
    const [library, stranger] = [await build('library'), await build('stranger')]
    const middle = await build('middle', [library])
    const program = await build('program', [middle])
    const cousin = await build('cousin', [library])
    const all = [library, middle, program, cousin, stranger]

    const related = async (others: string[], paths = all) => [
      ...(await relatedTo(store, others, paths, signal)),
    ]
    expect(await related([library])).toEqual([library, middle, program, cousin])
    expect(await related([program])).toEqual([library, middle, program])
    expect(await related([middle], [program, cousin, stranger])).toEqual([program])
    // What both depend on goes along with whichever is first; that is no reason to wait.
    expect(await related([program], [cousin, stranger])).toEqual([])
    expect(await related([], all)).toEqual([])

    const gone = library.replace(/^(.*\/)[^/]{32}/, `$1${'0'.repeat(32)}`)
    await expect(related([program], [gone])).rejects.toThrow(NixFailure)
  } finally {
    store.close()
    await nix.cleanup()
  }
})
