// Slow: uploads to a real nginx that is not set up for them.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { everyNix } from '../../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../../support/private-nix.ts'
import { expectBlame, upload } from '../../support/servers/failing-copy.ts'
import { type NginxOptions, startNginx } from '../../support/servers/nginx.ts'

const blame = 'destination'

describe.each(await everyNix())('nginx, with $name', (version) => {
  let nix: PrivateNix
  let big: string[]
  let root: string

  beforeAll(async () => {
    nix = await makePrivateNix(version, { name: 'blame-nginx' })
    big = (await nix.build({ name: 'big', sizeBytes: 3_000_000 })).outPaths
    root = join(nix.dir, 'root')
    return () => nix.cleanup()
  })

  async function withNginx(options: NginxOptions, use: (to: string) => Promise<unknown>): Promise<void> {
    await mkdir(root, { recursive: true })
    await writeFile(join(root, 'nix-cache-info'), `StoreDir: ${nix.storeDir}\n`)
    const nginx = await startNginx({ root, ...options })
    try {
      await use(nginx.url)
    } finally {
      await nginx.stop()
    }
  }

  test('takes no body of more than a megabyte, its default', async () => {
    const expected = { blame: 'job', permanent: true, says: /client_max_body_size/ } as const
    await withNginx({ maxBody: '1m' }, (to) => expectBlame(nix, { to, paths: big }, expected))
  })

  test('takes no PUT', async () => {
    const expected = { blame, says: /dav_methods PUT/ } as const
    await withNginx({ location: '' }, (to) => expectBlame(nix, { to, paths: big }, expected))
  })

  test('may not write', async () => {
    const expected = { blame, says: /read the log of that server/ } as const
    // A file in the way of a directory: it stops root too.
    await writeFile(join(root, 'nar'), '')
    await withNginx({}, (to) => expectBlame(nix, { to, paths: big }, expected))
    await nix.run('rm', [join(root, 'nar')])
  })

  test('takes everything when it is set up for it', async () => {
    await withNginx({}, (to) => upload(nix, { to, paths: big }))
    expect((await nix.run('ls', [root])).stdout).toMatch(/\.narinfo$/m)
  })
})
