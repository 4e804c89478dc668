import { afterEach, expect, test, vi } from 'vitest'
import { closureOf } from '../../src/nix/closure.ts'
import { NixFailure } from '../../src/nix/failure.ts'
import { StoreSession } from '../../src/nix/store-session.ts'
import { everyNix } from '../support/nix-versions.mjs'
import { makePrivateNix } from '../support/private-nix.ts'

const signal = new AbortController().signal

afterEach(() => vi.unstubAllEnvs())

test.each(await everyNix())('a closure has references first, with $name', async (version) => {
  const nix = await makePrivateNix(version, { name: 'closure' })
  for (const [name, value] of Object.entries(nix.env)) vi.stubEnv(name, value)
  const store = new StoreSession()
  try {
    const of = async (...paths: string[]) => [...(await closureOf(store, paths, signal)).keys()]
    const [library = ''] = (await nix.build({ name: 'library' })).outPaths
    const [middle = ''] = (await nix.build({ name: 'middle', deps: [library] })).outPaths
    const { outPaths, drvPath } = await nix.build({ name: 'program', deps: [middle] })
    const [program = ''] = outPaths

    expect(await of(program)).toEqual([library, middle, program])
    expect(await of(program, library, middle)).toEqual([library, middle, program])
    expect(await of()).toEqual([])
    // A derivation stands for itself, with what it was made from.
    const made = await of(drvPath)
    expect(made.at(-1)).toBe(drvPath)
    expect(made).toContain(middle)
    expect(made).not.toContain(program)

    const gone = library.replace(/^(.*\/)[^/]{32}/, `$1${'0'.repeat(32)}`)
    const failure = await of(program, gone).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(NixFailure)
    expect(failure).toMatchObject({ messages: [`path '${gone}' is not valid`] })
  } finally {
    store.close()
    await nix.cleanup()
  }
})
