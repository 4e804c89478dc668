// A machine on which everything is well, for doctor to look at and for tests to break.

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect } from 'vitest'
import { isObject } from '../../../src/util/is-object.ts'
import { versions } from '../../delivery/bed.ts'
import { HOOK, Site } from '../../integration/site.ts'
import { makePrivateNix } from '../../support/private-nix.ts'
import { must, type RunOptions } from '../../support/run.ts'
import { type MoodyCache, startMoodyCache } from '../../support/servers/moody-cache.ts'

export interface Seen {
  name: string
  state: string
  what: string
  remedy?: string
}

/** What doctor found. */
export interface Findings {
  exitCode: number
  checks: Seen[]
  /** The names of what failed. */
  failed: string[]
  /** The one check of that name. */
  of(name: string): Seen
}

export interface Healthy {
  site: Site
  cache: MoodyCache
  key: { secretKeyFile: string; publicKey: string }
  /** The flags for its configuration. */
  config: string[]
  /** A path that was built, delivered and signed. */
  path: string
  doctor(args?: string[], options?: RunOptions): Promise<Findings>
  cleanup(): Promise<void>
}

export async function makeHealthy(version = versions.at(-1)): Promise<Healthy> {
  if (!version) throw new Error('there is no Nix to test with')
  const nix = await makePrivateNix(version, { name: 'doctor', settings: [`post-build-hook = ${HOOK}`] })
  const site = new Site(nix, join(nix.dir, 'spool'))
  await mkdir(site.env.TMPDIR ?? '')
  // Other users get as far as the permissions of what is in it say.
  await chmod(nix.dir, 0o755)
  await chmod(site.env.TMPDIR ?? '', 0o1777)
  await site.makeSpool()
  const cache = await startMoodyCache()
  const key = await nix.keyPair('cache.example.org-1')
  await chmod(key.secretKeyFile, 0o600)
  const config = await site.configured(destination(cache.url, key.secretKeyFile))
  const env = { NIX_UPLOAD_SPOOL: site.spool, NIX_UPLOAD_GCROOTS: site.gcroots }
  const { outPaths } = await nix.build({ name: 'hello' }, { hookEnv: env })
  must(await site.run(['drain', ...config]), 'deliver what was built')
  await site.watch(config)
  const doctor: Healthy['doctor'] = async (args = config, options = {}) => {
    const { stdout, stderr, exitCode } = await site.run(['doctor', '--json', ...args], options)
    return findings(stdout, stderr, exitCode)
  }
  const cleanup = async () => {
    for (const daemon of site.daemons) daemon.killWithChildren()
    await Promise.all(site.daemons.map(({ exited }) => exited))
    await cache.cleanup()
    await nix.cleanup()
  }
  return { site, cache, key, config, path: outPaths[0] ?? '', doctor, cleanup }
}

/** The narinfo of a store path in a folder. */
export function narinfoIn(folder: string, path: string): string {
  return join(folder, `${basename(path).slice(0, 32)}.narinfo`)
}

/** Takes the signature away from what was delivered, and then all of it: doctor sees both. */
export async function seesWhatIsUnsigned(machine: Healthy, config: string[], narinfo: string): Promise<void> {
  const before = readFileSync(narinfo, 'utf8')
  const seen = async () => (await machine.doctor(config)).of('signatures at cache')
  try {
    expect((await seen()).what).toMatch(/all there and signed$/)
    writeFileSync(narinfo, before.replace(/^Sig: .*\n/m, ''))
    expect(await seen()).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/-hello is there without our signature/),
    })
    rmSync(narinfo)
    expect(await seen()).toMatchObject({
      state: 'warn',
      what: expect.stringMatching(/-hello was delivered, but is not there any more/),
    })
  } finally {
    writeFileSync(narinfo, before)
  }
}

/** The section of a configuration file. */
export function destination(to: string, secretKeyFile?: string): string {
  const key = secretKeyFile === undefined ? '' : `secret-key-file = "${secretKeyFile}"\n`
  return `[[destination]]\nname = "cache"\nto = "${to}"\nretry-min = "200ms"\n${key}`
}

/** Reads what `doctor --json` printed. */
export function findings(stdout: string, stderr = '', exitCode = 0): Findings {
  let value: unknown
  try {
    value = JSON.parse(stdout)
  } catch {
    throw new Error(`doctor printed no JSON: ${stdout}${stderr}`)
  }
  const list = isObject(value) && Array.isArray(value.checks) ? value.checks : []
  const checks = list.flatMap((entry): Seen[] => {
    if (!isObject(entry)) return []
    const { name, state, what, remedy } = entry
    return [
      {
        name: String(name),
        state: String(state),
        what: String(what),
        ...(remedy === undefined ? {} : { remedy: String(remedy) }),
      },
    ]
  })
  const failed = checks.filter(({ state }) => state === 'fail').map(({ name }) => name)
  const of = (name: string) => {
    const [found, ...more] = checks.filter((check) => check.name === name)
    if (!found || more.length > 0) throw new Error(`${more.length} more of ${name} in ${stdout}`)
    return found
  }
  return { exitCode, checks, failed, of }
}
