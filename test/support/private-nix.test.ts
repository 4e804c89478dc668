import { readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { everyNix } from './nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from './private-nix.ts'

const HOOK = `#!/bin/sh
printf '%s|%s|%s\\n' "$DRV_PATH" "$OUT_PATHS" "$NOTE" >> "$HOOK_LOG"
`

describe.each(await everyNix())('a private $name', (version) => {
  let nix: PrivateNix
  let hook: string
  beforeAll(async () => {
    nix = await makePrivateNix(version, { name: 'support' })
    hook = join(nix.dir, 'hook')
    await writeFile(hook, HOOK, { mode: 0o755 })
  })
  afterAll(() => nix.cleanup())

  test('runs that version and none of the host', async () => {
    const printed = (await nix.run('nix', ['--version'])).stdout.split('\n')[0]
    const kind = version.isLix ? 'Lix, like Nix' : 'Nix'
    expect(printed).toBe(`nix (${kind}) ${version.version}`)
    expect((await nix.run('sh', ['-c', 'command -v nix-store'])).stdout).toBe(join(version.bin, 'nix-store'))
  })

  test('builds a derivation with what it depends on, and all of its outputs', async () => {
    const source = await nix.addToStore('source', 'from a file')
    const built = await nix.build({
      name: 'app',
      deps: [{ name: 'library', content: 'a "quoted" $word and a \\' }, source],
      outputs: ['out', 'dev'],
    })
    expect(built.outPaths.map((path) => basename(path).slice(33))).toEqual(['app', 'app-dev'])
    expect(built.drvPath).toMatch(/-app\.drv$/)
    const closure = (await nix.run('nix-store', ['-qR', ...built.outPaths])).stdout.split('\n')
    expect(closure).toHaveLength(4)
    const library = closure.find((path) => path.endsWith('-library')) ?? ''
    expect(await readFile(library, 'utf8')).toBe('a "quoted" $word and a \\\nout of library\n')
  })

  test('builds a list, something big, and something new each time', async () => {
    const { outPaths } = await nix.build(
      '[ (derivation { name = "one"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" ": > $out" ]; }) ]',
    )
    expect(outPaths).toHaveLength(1)
    const big = await nix.build({ name: 'big', sizeBytes: 3_000_000 })
    expect((await stat(big.outPaths[0] ?? '')).size).toBeGreaterThan(3_000_000)
    const unique = await nix.build({ name: 'big', unique: true })
    expect(unique.outPaths).not.toEqual((await nix.build({ name: 'big', unique: true })).outPaths)
  })

  test('a failing build throws in full words, or is a result where that is asked for', async () => {
    const failing = 'derivation { name = "no"; system = builtins.currentSystem; builder = "/bin/false"; }'
    await expect(nix.build(failing)).rejects.toThrow(/Could not build .*-no\.drv/s)
    expect(await nix.build(failing, { reject: false })).toMatchObject({ outPaths: [], exitCode: 100 })
  })

  test('runs the hook, which is told of the outputs by every version but 2.8', async () => {
    const hookEnv = { HOOK_LOG: join(nix.dir, 'hook.log'), NOTE: 'from the test' }
    const built = await nix.build({ name: 'hooked', outputs: ['out', 'doc'] }, { hook, hookEnv })
    const [drvPath, outPaths, note] = (await readFile(hookEnv.HOOK_LOG, 'utf8')).trimEnd().split('|')
    expect(drvPath).toBe(built.drvPath)
    expect(outPaths?.split(' ').sort()).toEqual(
      version.version === '2.8.0' ? [''] : [...built.outPaths].sort(),
    )
    expect(note).toBe('from the test')
  })

  test('a failing hook fails the build and leaves its output', async () => {
    const built = await nix.build({ name: 'unhooked' }, { hook: '/bin/false', reject: false })
    expect(built.exitCode).not.toBe(0)
    const output = (await nix.run('nix-store', ['-q', '--outputs', built.drvPath])).stdout
    expect(await nix.isValid(output)).toBe(true)
  })

  test('collects garbage but for what has a root, and knows what is valid', async () => {
    const [kept, gone] = await nix.addAllToStore({ kept: 'k', gone: 'g' })
    if (!kept || !gone) throw new Error('nix-store --add printed no paths')
    await nix.run('ln', ['-s', kept, join(nix.gcrootsDir, 'kept')])
    await nix.gc()
    expect([await nix.isValid(kept), await nix.isValid(gone)]).toEqual([true, false])
  })

  test('substitutes back what is signed by the trusted key, and nothing else', async () => {
    const [ours, other] = [await nix.keyPair('ours-1'), await nix.keyPair('other-1')]
    const { outPaths } = await nix.build({ name: 'signed', deps: [{ name: 'signed-dependency' }] })
    const cache = `file://${join(nix.dir, 'cache')}`
    const to = `${cache}?compression=none&secret-key=${ours.secretKeyFile}`
    expect(await nix.run('nix', ['copy', '--to', to, ...outPaths])).toMatchObject({ exitCode: 0 })

    const right = await nix.substituteFrom(cache, outPaths, ours.publicKey)
    expect(right).toMatchObject({ exitCode: 0 })
    expect(await readFile(right.realFile(outPaths[0] ?? ''), 'utf8')).toContain('out of signed')
    // Only the name is the other's: the refusal must come from the signature, not from an unknown name.
    const forged = other.publicKey.replace('other-1', 'ours-1')
    for (const key of [other.publicKey, forged, undefined]) {
      const wrong = await nix.substituteFrom(cache, outPaths, key)
      expect(wrong.exitCode).not.toBe(0)
      expect(wrong.stderr).toMatch(/not signed by any of the keys/)
      await expect(stat(wrong.realFile(outPaths[0] ?? ''))).rejects.toThrow('ENOENT')
    }
  })

  test('refuses a closure in which only the dependency is unsigned', async () => {
    const ours = await nix.keyPair('ours-2')
    const dependency = await nix.build({ name: 'unsigned-dependency' })
    const { outPaths } = await nix.build({ name: 'half-signed', deps: [{ name: 'unsigned-dependency' }] })
    const cache = `file://${join(nix.dir, 'half')}`
    await nix.run('nix', ['copy', '--to', `${cache}?compression=none`, ...dependency.outPaths])
    const to = `${cache}?compression=none&secret-key=${ours.secretKeyFile}`
    expect(await nix.run('nix', ['copy', '--to', to, ...outPaths])).toMatchObject({ exitCode: 0 })
    expect((await nix.substituteFrom(cache, outPaths, ours.publicKey)).exitCode).not.toBe(0)
  })

  test('removes all it made', async () => {
    const short = await makePrivateNix(version, { name: 'short' })
    await short.build({ name: 'read-only' })
    await short.cleanup()
    await expect(stat(short.dir)).rejects.toThrow('ENOENT')
  })
})
