import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { typedUrlProblem } from '../../src/config/typed-url.ts'
import { EXIT } from '../../src/util/user-error.ts'
import { tempDir } from '../spool/temp-spool.ts'
import { complaintOf } from './complaint.ts'

describe('a folder with a slash too few, which would depend on the working directory', () => {
  test.each([
    ['file://srv/cache', '"file:///srv/cache"'],
    ['file://srv/cache?compression=xz', '"file:///srv/cache?compression=xz"'],
    ['file://./cache', 'three slashes'],
  ])('is refused where it is typed: %s', async (to, says) => {
    expect(typedUrlProblem(to)).toContain(says)
    expect(await complaintOf(() => loadConfig({ to }, {}), EXIT.usage)).toMatch(/^--to: expected an absolute/)
  })

  test('is a warning in a file, which may be an old one', async () => {
    const config = join(tempDir(), 'config.toml')
    writeFileSync(config, '[[destination]]\nname = "folder"\nto = "file://srv/cache"\n')
    const { destinations, warnings } = await loadConfig({ config }, {})
    expect(destinations).toMatchObject([{ to: 'file://srv/cache' }])
    expect(warnings).toEqual([
      'destination "folder": expected an absolute path, with three slashes: "file:///srv/cache"',
    ])
  })
})

test.each(['file:///srv/cache', 'file:///srv/a%20b?compression=none', 's3://cache', 'local?root=/x'])(
  '%s can be used',
  (to) => {
    expect(typedUrlProblem(to)).toBeUndefined()
  },
)
