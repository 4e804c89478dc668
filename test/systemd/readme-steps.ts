// What README.md and others print to be typed as root, on a machine with nix-daemon that had nix-upload before: init.test.ts has
// been through with it.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { until } from '../integration/daemon.ts'
import type { Steps } from '../tour/readme-page.ts'
import type { Machine } from './machine.ts'

const SPOOL = 'var/spool/nix-upload'
const DERIVATION =
  'derivation { name = "by-hand"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "echo hello > $out"]; }'

/** What is typed before the next way to install it: all that was made is taken away, but the cache and the package. */
async function uninstall(machine: Machine): Promise<void> {
  const made = [
    '/etc/nix-upload /var/spool/nix-upload /nix/var/nix/gcroots/nix-upload',
    '/etc/systemd/system/nix-upload* /etc/sysusers.d/nix-upload.conf /etc/tmpfiles.d/nix-upload.conf',
  ].join(' ')
  await machine.do('sh', '-c', `systemctl stop nix-upload.service; rm -rf ${made}; systemctl daemon-reload`)
  await machine.do('userdel', 'nix-upload')
}

/** "By hand" of docs/INIT.md. */
export function byHandSteps(machine: Machine): Steps {
  const owner = async (path: string) => (await machine.do('stat', '--format=%U', path)).trim()
  return {
    'nix-store --generate-binary-cache-key cache.example.org-1 /etc/nix/key.private /etc/nix/key.public':
      async (type) => {
        await uninstall(machine)
        await type()
        expect(machine.read('etc/nix/key.public')).toMatch(/^cache\.example\.org-1:/)
      },
    'useradd --system --create-home --home-dir /var/lib/nix-upload nix-upload': async (type) => {
      await machine.do('rm', '-rf', '/var/lib/nix-upload')
      await type()
      expect(await owner('/var/lib/nix-upload')).toBe('nix-upload')
    },
    'usermod --append --groups nix-users nix-upload': async (type) => {
      await type()
    },
    'install -d -o nix-upload /var/spool/nix-upload /var/spool/nix-upload-cache /nix/var/nix/gcroots/nix-upload':
      async (type) => {
        await type()
        expect(await owner('/nix/var/nix/gcroots/nix-upload')).toBe('nix-upload')
      },
    'chown nix-upload /etc/nix/key.private': async (type) => {
      await type()
    },
    'install -m 755 "$(command -v nix-upload-hook)" /etc/nix/nix-upload-hook': async (type) => {
      await type()
      await machine.do('cmp', '/usr/local/bin/nix-upload-hook', '/etc/nix/nix-upload-hook')
    },
    'runuser -u nix-upload -- nix-upload watch --secret-key-file /etc/nix/key.private': async (type) => {
      await Promise.all([type(), useDaemon(machine)])
    },
  }
}

/** While it runs: has something built and uploaded, and ends it. */
async function useDaemon(machine: Machine): Promise<void> {
  const report = `${SPOOL}/daemon.json`
  await until(() => existsSync(join(machine.root, report)), 'the daemon')
  const { stdout } = await machine.shell(`nix-build --no-out-link -E '${DERIVATION}'`, 'builder')
  await until(() => readdirSync(join(machine.root, SPOOL, 'done')).length === 1, 'the upload')
  expect(machine.read(`${SPOOL}-cache/${stdout.slice(11, 43)}.narinfo`)).toMatch(
    /^Sig: cache\.example\.org-1:/m,
  )
  const [, pid] = /"pid": ?(\d+)/.exec(machine.read(report)) ?? []
  expect(await machine.shell(`kill ${pid}`)).toMatchObject({ exitCode: 0 })
}

/** "Questions that are often asked", after "By hand". */
export function questionSteps(machine: Machine): Steps {
  return {
    'nix --extra-experimental-features nix-command store sign --store file:///srv/cache --key-file /etc/nix/key.private --all':
      async (type) => {
        const names = readdirSync(join(machine.root, 'srv/cache')).filter((name) => name.endsWith('.narinfo'))
        await type()
        expect(names.length).toBeGreaterThan(0)
        for (const name of names)
          expect(machine.read(`srv/cache/${name}`)).toMatch(/^Sig: cache\.example\.org-1:/m)
      },
    'nix-upload enqueue ./result': async (type) => {
      await machine.shell(`nix-build -E '${DERIVATION}'`)
      await type()
      expect(readdirSync(join(machine.root, SPOOL, 'new'))).toEqual([
        expect.stringMatching(/-by-hand\.json$/),
      ])
    },
  }
}

/** "Variables" of docs/CONFIGURATION.md, after "Questions". */
export function variablesSteps(machine: Machine): Steps {
  return {
    '#!/bin/sh': async (_, script) => {
      machine.write('srv/hook', script, 0o755)
      await machine.do(
        'mkdir',
        '-p',
        ...['tmp', 'new', 'cur', 'done', 'failed'].map((name) => `/srv/spool/${name}`),
      )
      expect(await machine.shell('OUT_PATHS=$(readlink result) /srv/hook')).toMatchObject({ exitCode: 0 })
      expect(readdirSync(join(machine.root, 'srv/spool/new'))).toEqual([
        expect.stringMatching(/-by-hand\.json$/),
      ])
    },
  }
}
