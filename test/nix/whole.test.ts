import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { StoreSession } from '../../src/nix/store-session.ts'
import { areWhole } from '../../src/nix/whole.ts'
import { nixVersions } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'

const signal = new AbortController().signal
const LARGE = 100_000

const FOLDER = `derivation {
  name = "folder";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "/bin/mkdir -p $out/bin; echo text > $out/text; echo program > $out/bin/program; /bin/chmod +x $out/bin/program" ];
}`

describe.each(await nixVersions())('with Nix $version', (version) => {
  let nix: PrivateNix
  let store: StoreSession
  let [folder, small, large] = ['', '', '']
  const are = (...paths: string[]) => areWhole(store, paths, signal)

  beforeEach(async () => {
    nix = await makePrivateNix(version, { name: 'whole' })
    for (const [name, value] of Object.entries(nix.env)) vi.stubEnv(name, value)
    store = new StoreSession()
    ;[folder = ''] = (await nix.build(FOLDER)).outPaths
    ;[small = '', large = ''] = await nix.addAllToStore({ small: 'content', large: 'x'.repeat(LARGE) })
  })

  afterEach(async () => {
    store.close()
    vi.unstubAllEnvs()
    await nix.cleanup()
  })

  test('what is as it was built is whole, small or large', async () => {
    expect(await are(folder, small, large)).toBe(true)
    expect(await are()).toBe(true)
  })

  /** As somebody would who has no business there; also after all was well. */
  async function meddle(act: () => void): Promise<void> {
    expect(await are(folder, small, large)).toBe(true)
    for (const path of [folder, join(folder, 'bin'), small, large, join(folder, 'text')])
      chmodSync(path, 0o755)
    chmodSync(small, 0o444)
    chmodSync(large, 0o444)
    chmodSync(join(folder, 'text'), 0o444)
    expect(await are(folder, small, large)).toBe(true)
    act()
  }

  test.each<[string, () => void]>([
    ['another content', () => writeFileSync(small, 'CONTENT')],
    ['more content', () => appendFileSync(small, 'x')],
    ['less content', () => truncateSync(small, 3)],
    ['another content of a large one', () => writeFileSync(large, 'y'.repeat(LARGE))],
    ['a file more', () => writeFileSync(join(folder, 'more'), '')],
    ['a file less', () => rmSync(join(folder, 'text'))],
    ['another mode', () => chmodSync(join(folder, 'text'), 0o755)],
    ['nothing there', () => rmSync(small)],
    ['what is in no archive', () => execFileSync('mkfifo', [join(folder, 'pipe')])],
  ])('%s is not', async (_, act) => {
    await meddle(act)
    expect(await are(folder, small, large)).toBe(false)
  })

  test('what is not valid is not', async () => {
    expect(await are(small, `${nix.storeDir}/${'0'.repeat(32)}-gone`)).toBe(false)
  })

  test('where nobody wants to know any more, that is said', async () => {
    await expect(areWhole(store, [small], AbortSignal.abort())).rejects.toMatchObject({ ended: 'aborted' })
  })
})

test('where Nix can not be asked, a closer look is to tell why', async () => {
  const store = new StoreSession()
  vi.stubEnv('NIX_STORE_DIR', '/proc/nowhere/store')
  vi.stubEnv('NIX_STATE_DIR', '/proc/nowhere')
  expect(await areWhole(store, ['/proc/nowhere/store/00000000000000000000000000000000-x'], signal)).toBe(
    false,
  )
  vi.unstubAllEnvs()
  store.close()
})
