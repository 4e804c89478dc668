// Slow: real uploads over ssh that can't succeed, with every release of Nix.

import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { everyNix } from '../../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../../support/private-nix.ts'
import { expectBlame, upload, withoutNetwork } from '../../support/servers/failing-copy.ts'
import { executable, remoteNix } from '../../support/servers/remote-nix.ts'
import { freePort } from '../../support/servers/server-process.ts'
import { type SshClient, type SshServer, startSshServer } from '../../support/servers/ssh-server.ts'
import { openTcpGate } from '../../support/servers/tcp-gate.ts'

const blame = 'destination'
const isRoot = process.getuid?.() === 0

let server: SshServer
beforeAll(async () => {
  server = await startSshServer()
  return () => server.stop()
})

describe.each(await everyNix())('a machine behind ssh, with $name', (version) => {
  let nix: PrivateNix
  let remote: Awaited<ReturnType<typeof remoteNix>>
  let app: string[]
  let big: string[]

  beforeAll(async () => {
    nix = await makePrivateNix(version, { name: 'blame-ssh' })
    remote = await remoteNix(nix, 'remote', { settings: ['require-sigs = false'] })
    app = (await nix.build({ name: 'app', deps: [{ name: 'library' }] })).outPaths
    big = (await nix.build({ name: 'big', sizeBytes: 6_000_000 })).outPaths
    return () => nix.cleanup()
  })

  const env = (client: SshClient = {}) => ({ NIX_SSHOPTS: server.sshopts(client) })

  /** Both ways to get there. */
  async function expectBoth(client: SshClient, says: RegExp): Promise<void> {
    for (const to of [remote.ssh, remote.sshNg]) {
      await expectBlame(nix, { to, paths: app, env: env(client) }, { blame, says })
    }
  }

  test('does not listen', async () => {
    await expectBoth({ port: await freePort() }, /does not accept connections/)
  })

  test('can not be reached', async () => {
    const unreachable = { to: remote.ssh, paths: app, env: env(), within: withoutNetwork() }
    await expectBlame(nix, unreachable, { blame, says: /does not accept connections/ })
    const unknown = { ...unreachable, to: 'ssh-ng://nohost.invalid' }
    await expectBlame(nix, unknown, { blame, says: /can't be resolved/ })
  })

  test('has another host key, or one we do not know', async () => {
    await expectBoth({ knownHost: 'wrong' }, /into known_hosts/)
    await expectBoth({ knownHost: 'none' }, /into known_hosts/)
  })

  test('refuses our key', async () => {
    await expectBoth({ identity: 'other' }, /authorized_keys/)
  })

  test('has no Nix, or something else', async () => {
    const babble = await executable(join(nix.dir, 'babble'), '#!/bin/sh\necho Welcome to this machine\n')
    for (const scheme of ['ssh', 'ssh-ng']) {
      const request = { paths: app, env: env() }
      const none = `${scheme}://127.0.0.1?remote-program=/nonexistent/nix`
      await expectBlame(nix, { ...request, to: none }, { blame, says: /set remote-program/ })
      const other = `${scheme}://127.0.0.1?remote-program=${babble}`
      await expectBlame(nix, { ...request, to: other }, { blame, says: /is not Nix's protocol/ })
    }
  })

  test('ends Nix without a word', async () => {
    const mute = await executable(join(nix.dir, 'mute'), '#!/bin/sh\nexit 1\n')
    for (const scheme of ['ssh', 'ssh-ng']) {
      const to = `${scheme}://127.0.0.1?remote-program=${mute}`
      await expectBlame(nix, { to, paths: app, env: env() }, { blame, says: /try it by hand with ssh/ })
    }
  })

  test('can not be asked, as there is no ssh here', async () => {
    for (const to of [remote.ssh, remote.sshNg]) {
      const request = { to, paths: app, path: version.bin }
      await expectBlame(nix, request, { blame, says: /no ssh on the PATH/ })
    }
  })

  test('has another store directory', async () => {
    const other = await executable(
      join(nix.dir, 'other-store'),
      `#!/bin/sh\nunset NIX_REMOTE\nexport NIX_STORE_DIR=${nix.dir}/other/store NIX_STATE_DIR=${nix.dir}/other/var\nexport NIX_CONF_DIR=${nix.confDir} HOME=${nix.dir}/other\nexec ${version.bin}/nix-store "$@"\n`,
    )
    const request = { to: `ssh://127.0.0.1?remote-program=${other}`, paths: app, env: env() }
    await expectBlame(nix, request, { blame, says: /another store directory/ })
  })

  test('does not trust our signatures', async () => {
    const strict = await remoteNix(nix, 'strict')
    const request = { to: strict.sshNg, paths: app, env: env() }
    await expectBlame(nix, request, { blame, says: /trusts no signature on the path/ })
  })

  test('has a full disk', async () => {
    for (const scheme of ['ssh', 'sshNg'] as const) {
      // sshd gives a session no mount namespace, so the program makes one for itself.
      const mount = `mount -t tmpfs -o size=1m tmpfs "$FULL"`
      const wrap = `[ "$FULL" ] || { export FULL=${nix.dir}/full; mkdir -p "$FULL"; exec unshare ${isRoot ? '-m' : '-rm'} "$0" "$@"; }`
      const full = await remoteNix(nix, 'full', {
        settings: ['require-sigs = false'],
        before: `${wrap}\n${mount}`,
      })
      await expectBlame(nix, { to: full[scheme], paths: big, env: env() }, { blame, says: /a disk is full/ })
    }
  })

  test('is cut off in the midst of an upload', async () => {
    const gate = await openTcpGate(server.port)
    gate.fault = { afterBytes: 2_000_000, how: 'cut' }
    try {
      for (const to of [remote.ssh, remote.sshNg]) {
        const request = { to, paths: big, env: env({ port: gate.port }) }
        await expectBlame(nix, request, { blame, says: /broke off/ })
      }
    } finally {
      await gate.close()
    }
  })

  test('takes uploads when all is well', async () => {
    await upload(nix, { to: remote.ssh, paths: app, env: env() })
    await upload(nix, { to: remote.sshNg, paths: big, env: env() })
    const [there] = (await nix.run('sh', ['-c', `ls ${remote.root}/nix/store | grep -c -- -`])).stdout.split(
      '\n',
    )
    expect(there).toBe('3')
  })
})
