// Who we are to a server.

import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import { expectFailure, putText } from '../bed.ts'
import { httpBed, withNginx } from './http-bed.ts'

const { dir, cache, transportTo } = await httpBed()

test('logs in with a netrc file, or with a user name in the URL and a password there', async () => {
  const users = join(dir, 'users')
  await writeFile(users, 'builder:{PLAIN}secret\n', { mode: 0o644 })
  const location = `auth_basic cache; auth_basic_user_file ${users}; dav_methods PUT; create_full_put_path on;`
  await withNginx({ location }, async (url) => {
    const netrcFile = join(dir, 'netrc')
    const transport = transportTo(url, { netrcFile })
    await writeFile(netrcFile, 'machine 127.0.0.1 login builder password wrong')
    const message = await expectFailure(putText(transport, 'x.narinfo'), { says: /netrc-file.*401/ })
    expect(message).not.toContain('wrong')
    await writeFile(
      netrcFile,
      'machine 127.0.0.1 login other password x\nmachine 127.0.0.1 login builder password secret',
    )
    await expectFailure(putText(transport, 'x.narinfo'), { says: /401/ })
    await putText(transportTo(url.replace('//', '//builder@'), { netrcFile }), 'x.narinfo')
    await putText(transportTo(url.replace('//', '//builder:secret@')), 'x.narinfo')
    // The file was mended while the first transport goes on.
    await writeFile(netrcFile, 'machine 127.0.0.1 login builder password secret')
    await putText(transport, 'x.narinfo')
  })
})

test('looks for the netrc file of Nix once, and again when it is asked who it is', async () => {
  const confDir = await mkdtemp(join(dir, 'conf-'))
  await withEnvironment({ NIX_CONF_DIR: confDir }, async () => {
    const transport = transportTo(cache.url)
    await putText(transport, 'a.narinfo')
    await writeFile(join(confDir, 'netrc'), 'machine 127.0.0.1 login builder password secret')
    await putText(transport, 'b.narinfo')
    cache.behave({ status: 401 }, { path: /c\.narinfo/, times: 1 })
    await expectFailure(putText(transport, 'c.narinfo'), { says: /401/ })
    await putText(transport, 'c.narinfo')
  })
  const isKnown = cache.seen.map(({ authorization }) => authorization !== undefined)
  expect(isKnown).toEqual([false, false, false, true])
})
