// doctor with every Nix: what it learns of Nix itself, of its hook and of signatures.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { NIX_UPLOAD } from '../../integration/site.ts'
import { startNixDaemon } from '../../support/nix-daemon.ts'
import { everyNix } from '../../support/nix-versions.mjs'
import { build } from '../cli.ts'
import { destination, findings, type Healthy, makeHealthy, narinfoIn, seesWhatIsUnsigned } from './bed.ts'

beforeAll(build)

describe.each(await everyNix())('with $name', (version) => {
  let machine: Healthy
  beforeAll(async () => {
    machine = await makeHealthy(version)
    return () => machine.cleanup()
  })

  const conf = () => join(machine.site.nix.confDir, 'nix.conf')
  const narinfo = (path: string) => narinfoIn(machine.cache.dir, path)

  /** Has nix.conf say more for as long as the test runs. */
  function configure(lines: string): void {
    const before = readFileSync(conf(), 'utf8')
    writeFileSync(conf(), before + lines)
    onTestFinished(() => writeFileSync(conf(), before))
  }

  test('a machine on which all is well is healthy, and its Nix is named in a line', async () => {
    const { exitCode, failed, of } = await machine.doctor()
    expect([exitCode, failed]).toEqual([0, []])
    expect(of('Nix').what).toBe(`nix (${version.isLix ? 'Lix, like Nix' : 'Nix'}) ${version.version}`)
    expect(of('signatures at cache').what).toBe('1 path of the last job in done/, all there and signed')
    expect(of('trust').state).toBe('ok')
  })

  test('what stands unsigned is seen, and what is gone, where Nix has to be asked', async () => {
    const { cache, key, path } = machine
    const section = destination(`file://${cache.dir}`, key.secretKeyFile)
    await seesWhatIsUnsigned(machine, await machine.site.configured(`${section}via = "nix"\n`), narinfo(path))
  })

  test('what Nix itself signs is signed, and doctor says so', async () => {
    const { site, cache } = machine
    const bare = await site.configured(destination(cache.url))
    expect((await machine.doctor(bare)).of('key of cache').what).toMatch(/uploads are not signed/)
    const key = await site.nix.keyPair('builder-1')
    configure(`secret-key-files = ${key.secretKeyFile}\n`)
    const hookEnv = { NIX_UPLOAD_SPOOL: site.spool, NIX_UPLOAD_GCROOTS: site.gcroots }
    const { outPaths } = await site.nix.build({ name: 'signed-by-nix' }, { hookEnv })
    const [path = ''] = outPaths
    await site.settle('new', 0)
    await site.settle('cur', 0)
    const { of, failed } = await machine.doctor(bare)
    expect(failed).toEqual([])
    expect(of('key of cache')).toMatchObject({
      state: 'ok',
      what: expect.stringContaining(`Nix signs its builds with ${key.publicKey} (secret-key-files)`),
    })
    expect(of('signatures at cache').what).toMatch(/all there and signed by Nix itself \(secret-key-files\)$/)
    const text = readFileSync(narinfo(path), 'utf8')
    expect(text).toMatch(/^Sig: builder-1:/m)
    writeFileSync(narinfo(path), text.replaceAll(/^Sig: .*\n/gm, ''))
    expect((await machine.doctor(bare)).of('signatures at cache')).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/-signed-by-nix is there without any signature/),
    })
    writeFileSync(narinfo(path), text)
  })

  test('nix-daemon does not trust this user', async () => {
    const { nix } = machine.site
    const client = await startNixDaemon(nix)
    onTestFinished(() => client.stop())
    const [program = '', ...rest] = [...client.as, NIX_UPLOAD, 'doctor', '--json', '--config', '/dev/null']
    const { stdout } = await nix.run(program, rest, { env: { ...machine.site.env, ...client.env } })
    expect(findings(stdout).of('hook')).toMatchObject({
      state: 'skipped',
      what: expect.stringMatching(/only root can see whether it uses the spool .*/),
    })
    expect(findings(stdout).of('trust')).toMatchObject({
      state: 'warn',
      what: expect.stringMatching(/ignores --option post-build-hook from nobody/),
    })
  })
})
