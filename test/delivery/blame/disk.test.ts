// Slow: real uploads to directories and stores on this machine that can't take them, and a Nix here that can't send
// them, with every release of Nix.

import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, test } from 'vitest'
import { everyNix } from '../../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../../support/private-nix.ts'
import { expectBlame, upload, withFileSystem, withoutPrivileges } from '../../support/servers/failing-copy.ts'

const blame = 'destination'

describe.each(await everyNix())('a destination on a disk, with $name', (version) => {
  let nix: PrivateNix
  let app: string[]
  let big: string[]
  let dir: string
  let to: string

  beforeAll(async () => {
    nix = await makePrivateNix(version, { name: 'blame-disk' })
    app = (await nix.build({ name: 'app', deps: [{ name: 'library' }] })).outPaths
    big = (await nix.build({ name: 'big', sizeBytes: 3_000_000 })).outPaths
    dir = join(nix.dir, 'cache')
    to = `file://${dir}/sub`
    await mkdir(dir)
    return () => nix.cleanup()
  })

  test('is full', async () => {
    const within = withFileSystem(dir, 'size=1m')
    await expectBlame(nix, { to, paths: big, within }, { blame, says: /a disk is full/ })
    const store = `local?root=${dir}&require-sigs=false`
    await expectBlame(nix, { to: store, paths: big, within }, { blame, says: /a disk is full/ })
  })

  test('is read-only', async () => {
    const within = withFileSystem(dir, 'ro')
    await expectBlame(nix, { to, paths: app, within }, { blame, says: /mounted read-only/ })
    await expectBlame(nix, { to: `local?root=${dir}`, paths: app, within }, { blame, says: /read-only/ })
  })

  test("is somebody else's", async () => {
    const within = withoutPrivileges()
    await chmod(dir, 0o555)
    await expectBlame(nix, { to, paths: app, within }, { blame, says: /check owner and mode/ })
    await expectBlame(nix, { to: `local?root=${dir}`, paths: app, within }, { blame, says: /owner and mode/ })
    await chmod(dir, 0o755)
  })

  test('has a file in the way, or no parent', async () => {
    const file = join(nix.dir, 'file')
    await writeFile(file, '')
    await expectBlame(nix, { to: `file://${file}/sub`, paths: app }, { blame, says: /file in the way/ })
    await expectBlame(nix, { to: 'file:///proc/cache', paths: app }, { blame, says: /check its path/ })
  })

  test('is written in a way that Nix does not understand', async () => {
    await expectBlame(nix, { to: 'gopher://cache', paths: app }, { blame, says: /check its spelling/ })
    await expectBlame(nix, { to: 'file://relative', paths: app }, { blame, says: /check its spelling/ })
    const odd = `file://${dir}/odd?compression=odd`
    await expectBlame(nix, { to: odd, paths: app }, { blame, says: /the values of its parameters/ })
  })

  test('has a signing key that is none', async () => {
    const key = await nix.keyPair('ours-1')
    const secretKeyFile = join(nix.dir, 'key')
    const request = { to, paths: app, secretKeyFile }
    await expectBlame(nix, request, { blame, says: /secret-key-file can't be read.*no such file/ })
    const says = /holds no secret key of Nix|holds a public key/
    for (const content of ['', 'nonsense', key.publicKey, 'ours-1:no base 64!', 'ours-1:YWJj']) {
      await writeFile(secretKeyFile, content)
      await expectBlame(nix, request, { blame, says })
      await expectBlame(nix, { paths: app, to: `${to}?secret-key=${secretKeyFile}` }, { blame, says })
    }
    const directory = { ...request, secretKeyFile: dir }
    await expectBlame(nix, directory, { blame, says: /secret-key-file can't be read/ })
  })

  test('does not trust the signing key', async () => {
    const says = /list its public key in the destination's trusted-public-keys/
    const path = (await nix.run('nix-store', ['--query', '--references', ...app])).stdout
    await expectBlame(nix, { to: `local?root=${dir}`, paths: app }, { blame, says, path })
  })

  test('TMPDIR is full', async () => {
    const tmp = join(nix.dir, 'tmp')
    await mkdir(tmp)
    const request = { to, paths: app, env: { TMPDIR: tmp }, within: withFileSystem(tmp, 'size=8k') }
    const http = { ...request, to: 'http://127.0.0.1:9' }
    await expectBlame(nix, http, { blame, says: /that of TMPDIR here/ })
    await expectBlame(nix, { ...request, paths: big }, { blame, says: /that of TMPDIR here/ })
  })

  test('nix-daemon does not answer', async () => {
    const request = { to, paths: app, env: { NIX_REMOTE: 'daemon' } }
    await expectBlame(nix, request, { blame, says: /nix-daemon does not answer/ })
  })

  test('nix.conf has a mistake', async () => {
    const says = /Nix refuses one of its settings: correct it, in nix.conf/
    const confDir = join(nix.dir, 'mistaken')
    await mkdir(confDir)
    const request = { to, paths: app, env: { NIX_CONF_DIR: confDir } }
    for (const line of [
      'no setting',
      'include /gone.conf',
      'max-jobs = few',
      'keep-outputs = maybe',
      'cores = x',
    ]) {
      await writeFile(join(confDir, 'nix.conf'), `${line}\n`)
      await expectBlame(nix, request, { blame, says })
    }
    await expectBlame(nix, { to: `${to}?priority=x`, paths: app }, { blame, says })
  })

  test("Nix's own database is read-only, of a newer Nix, or damaged", async () => {
    const request = { to, paths: app }
    const db = join(nix.stateDir, 'db')
    const readOnly = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    const unshare = process.getuid?.() === 0 ? '-m' : '-rm'
    const within = ['unshare', unshare, 'sh', '-c', readOnly, 'sh', nix.stateDir]
    await expectBlame(nix, { ...request, within }, { blame, says: /read-only/ })
    await upload(nix, request)
    await writeFile(join(db, 'schema'), '99')
    await expectBlame(nix, request, { blame, says: /of a newer Nix/ })
    await writeFile(join(db, 'schema'), '10')
    await upload(nix, request)
    await nix.run('sh', ['-c', 'rm -f db.sqlite-*; echo not a database > db.sqlite'], { cwd: db })
    await expectBlame(nix, request, { blame, says: /the database of Nix is damaged/ })
  })
})
