// Outputs of content-addressed derivations can be found by whoever has the derivation: their realisations go along.

import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { NIX_UPLOAD } from '../integration/site.ts'
import { startNixDaemon } from '../support/nix-daemon.ts'
import { everyNix, nixVersions } from '../support/nix-versions.mjs'
import { must } from '../support/run.ts'
import { remoteNix } from '../support/servers/remote-nix.ts'
import { type SshServer, startSshServer } from '../support/servers/ssh-server.ts'
import {
  buildHooked,
  drain,
  elsewhere,
  makeCaSite,
  nixesWithFloatingOutputs,
  notesOf,
  realisationsIn,
  TOOL,
} from './ca-bed.ts'

let server: SshServer
beforeAll(async () => {
  server = await startSshServer()
  return () => server.stop()
})

const TIMEOUT = { timeout: 60_000 }

const able = await nixesWithFloatingOutputs()

describe.each(able)('with $name', (version) => {
  test('another machine builds nothing, and believes our signature', TIMEOUT, async () => {
    const site = await makeCaSite(version)
    const [ours, other] = [await site.nix.keyPair('ours-1'), await site.nix.keyPair('other-1')]
    const path = await buildHooked(site)
    await drain(site, `to = "file://${site.cache}"\nsecret-key-file = "${ours.secretKeyFile}"\nverify = true`)
    expect(site.counts()).toMatchObject({ new: 0, cur: 0, failed: 0 })
    expect(await notesOf(site)).toEqual([])
    const url = `file://${site.cache}`
    expect(await elsewhere(site, url, ours.publicKey)).toMatchObject({ exitCode: 0, stdout: path })

    // Nix asks for a trusted signature where a realisation is copied into a store.
    const [job = ''] = site.names('done').filter((name) => name.includes('tool'))
    const { drvPath } = await site.job('done', job)
    const copy = async (publicKey: string) => {
      const to = `local?root=${join(site.nix.dir, publicKey.slice(0, 4))}`
      await site.nix.run('nix', ['copy', '--derivation', '--to', url, String(drvPath)])
      const trust = ['--option', 'trusted-public-keys', publicKey, '--option', 'require-sigs', 'true']
      return await site.nix.run('nix', ['copy', '--from', url, '--to', to, ...trust, `${drvPath}^out`])
    }
    expect((await copy(other.publicKey)).stderr).toMatch(/lacks a signature by a trusted key/)
    expect(await copy(ours.publicKey)).toMatchObject({ exitCode: 0 })
  })

  test('a service that nix-daemon does not trust brings them too', TIMEOUT, async () => {
    const site = await makeCaSite(version)
    const path = await buildHooked(site)
    const { as, env, stop } = await startNixDaemon(site.nix)
    onTestFinished(stop)
    await mkdir(site.cache)
    const belongings = [site.spool, site.gcroots, site.cache]
    must(await site.nix.run('chown', ['-R', 'nobody:nogroup', ...belongings]), 'make them its own')
    const [program = '', ...args] = [...as, NIX_UPLOAD, 'drain', '--to', `file://${site.cache}`]
    const drained = await site.nix.run(program, args, { env: { ...site.env, ...env }, cwd: '/' })
    must(drained, 'deliver')
    expect(await notesOf(site)).toEqual([])
    // Of the tool, the library and the program's two outputs.
    expect((await realisationsIn(site.cache)).size).toBeGreaterThanOrEqual(4)
    expect(site.isCached(path)).toBe(true)
  })

  test(
    'nix copy and ssh-ng:// bring them too; where they can not go along, the job says so',
    TIMEOUT,
    async () => {
      const site = await makeCaSite(version)
      const { secretKeyFile, publicKey } = await site.nix.keyPair('ours-1')
      const path = await buildHooked(site)
      const trust = [`trusted-public-keys = ${publicKey}`, 'require-sigs = true']
      const able = await remoteNix(site.nix, 'able', { settings: trust })
      const old = await remoteNix(site.nix, 'old', {
        settings: ['experimental-features = nix-command', ...trust],
      })
      const program = join(site.nix.dir, 'program')
      await writeFile(program, '#!/bin/sh\n')
      await chmod(program, 0o755)
      const destinations = [
        `name = "nix"\nto = "file://${site.cache}"\nvia = "nix"`,
        `name = "able"\nto = "${able.sshNg}"`,
        `name = "old"\nto = "${old.sshNg}"`,
        `name = "ssh"\nto = "${old.ssh}"`,
        `name = "local"\nto = "local?root=${join(site.nix.dir, 'beside')}"`,
      ].map((text) => `${text}\nsecret-key-file = "${secretKeyFile}"`)
      const toml = [...destinations, `name = "program"\ncommand = ["${program}"]`].join('\n[[destination]]\n')
      await drain(site, toml, { NIX_SSHOPTS: server.sshopts(), NIX_CONFIG: trust[0] ?? '' })
      expect(site.counts()).toMatchObject({ new: 0, cur: 0, failed: 0 })

      const [job = ''] = site.names('done').filter((name) => name.includes('program'))
      const noteAt = async (name: string) => (await site.delivery('done', job, name)).note
      expect([await noteAt('nix'), await noteAt('able')]).toEqual([undefined, undefined])
      expect(await noteAt('old')).toMatch(
        /no realisation went along: \S+-program.*'ca-derivations' is disabled/,
      )
      expect(await noteAt('ssh')).toMatch(/no realisation went along: .*takes paths only/)
      expect(await noteAt('local')).toMatch(/no realisation went along: .*lacks a signature by a trusted key/)
      expect(await noteAt('program')).toMatch(/no realisation went along: .*takes paths only/)

      expect(await elsewhere(site, `file://${site.cache}`, publicKey)).toMatchObject({
        exitCode: 0,
        stdout: path,
      })
      expect(await elsewhere(site, '', publicKey, able.root)).toMatchObject({ exitCode: 0, stdout: path })
      expect((await elsewhere(site, '', publicKey, old.root)).exitCode).not.toBe(0)
    },
  )
})

test.each(able)(
  'one whose derivation $name knows nothing of keeps none of the others',
  TIMEOUT,
  async (version) => {
    const site = await makeCaSite(version)
    await buildHooked(site)
    const [job = ''] = site.names('new').filter((name) => name.includes('library'))
    const { outPaths } = await site.job('new', job)
    // The library's derivation, as it says.
    const text = `Derive([("out","","r:sha256","")],[],[],"none","none",[],[("out","")])`
    const forged = await site.nix.addToStore('library.drv', text)
    await site.handOver('forged', JSON.stringify({ drvPath: forged, outPaths }))
    await drain(site, `to = "file://${site.cache}"`)
    expect(site.counts()).toMatchObject({ new: 0, cur: 0, failed: 0 })
    expect(await notesOf(site)).toEqual([expect.stringMatching(/no realisation went along: \S+-library \(/)])
    // 2.26 has more of them: of `middle`, too, and of derivations with the paths of their inputs resolved.
    const texts = [...(await realisationsIn(site.cache)).values()]
    const names = texts.map((text) => String(JSON.parse(text).outPath).replace(/^[^-]*-/, ''))
    expect(names).toEqual(expect.arrayContaining(['tool', 'library', 'program', 'program-dev']))
  },
)

test.each((await nixVersions()).filter(({ version }) => version === '2.8.0'))(
  '$name knows no way to name an output, and the job says that no realisation went along',
  TIMEOUT,
  async (version) => {
    const site = await makeCaSite(version)
    const path = await buildHooked(site)
    // Its hook isn't told what was built.
    for (const name of site.names('new')) await rm(site.path('new', name))
    await site.enqueue([path])
    await drain(site, `to = "file://${site.cache}"`)
    const note = /no realisation went along: \S+-program \(.*is not a valid URL\)/
    expect(await notesOf(site)).toEqual([expect.stringMatching(note)])
  },
)

test.each((await everyNix()).filter(({ isLix }) => isLix))(
  '$name has no such derivations',
  async (version) => {
    const site = await makeCaSite(version)
    const { stderr } = await site.nix.run('nix-instantiate', ['-E', TOOL])
    expect(stderr).toMatch(/ca derivations are not supported in Lix/)
  },
)
