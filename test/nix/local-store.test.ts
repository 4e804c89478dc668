import { execFileSync } from 'node:child_process'
import { chmodSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { corruptPaths } from '../../src/nix/local-store.ts'
import { everyNix } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'

const folder = (name: string) => `(derivation {
  name = "${name}";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "/bin/mkdir $out; echo ${name} > $out/file; echo more > $out/more" ];
})`

describe.each(await everyNix())('with $name, a path', (version) => {
  let nix: PrivateNix
  let [good, other] = ['', '']

  beforeEach(async () => {
    nix = await makePrivateNix(version, { name: 'local-store' })
    for (const [name, value] of Object.entries(nix.env)) vi.stubEnv(name, value)
    const { outPaths } = await nix.build(`[ ${folder('good')} ${folder('other')} ]`)
    ;[good = '', other = ''] = outPaths
  })

  afterEach(async () => {
    vi.unstubAllEnvs()
    await nix.cleanup()
  })

  /** As somebody would who has no business there. */
  function meddle(path: string, act: (directory: string) => void): void {
    chmodSync(path, 0o755)
    act(path)
  }

  test('that is as it was built is not corrupt', async () => {
    expect(await corruptPaths([good, other])).toEqual(new Set())
  })

  test('with another content is corrupt', async () => {
    meddle(other, (directory) => rmSync(join(directory, 'more')))
    expect(await corruptPaths([good, other])).toEqual(new Set([other]))
  })

  test('whose files are gone is corrupt, and those after it are looked at', async () => {
    meddle(good, (directory) => rmSync(directory, { recursive: true }))
    meddle(other, (directory) => rmSync(join(directory, 'file')))
    expect(await corruptPaths([good, other])).toEqual(new Set([good, other]))
  })

  test('that Nix fails to read is not said to be corrupt, since that may pass, and hides no other that is', async () => {
    // What can be in no NAR stands for a disk that errs: both end Nix with an error.
    meddle(good, (directory) => execFileSync('mkfifo', [join(directory, 'pipe')]))
    expect(await corruptPaths([good])).toEqual(new Set())
    meddle(other, (directory) => rmSync(join(directory, 'file')))
    expect(await corruptPaths([good, other])).toEqual(new Set([other]))
  })
})
