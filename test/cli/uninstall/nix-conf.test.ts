import { lstatSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hookLineRemoval, withoutHook } from '../../../src/cli/uninstall/nix-conf.ts'
import { tempDir } from '../../spool/temp-spool.ts'

const OURS = '/etc/nix/nix-upload-hook'

test.each([
  [
    'the hook of init',
    `cores = 2\npost-build-hook = ${OURS}\nsandbox = true\n`,
    'cores = 2\nsandbox = true\n',
  ],
  ['npm’s', 'post-build-hook=/usr/local/bin/nix-upload-hook # ours\n', ''],
  ['the last of several lines', `sandbox = true\npost-build-hook = ${OURS}`, 'sandbox = true'],
])('%s is taken out, and nothing else', (_, text, rest) => {
  expect(withoutHook(text, OURS)).toBe(rest)
})

test.each([
  ['a hook of somebody else’s', 'post-build-hook = /etc/nix/sign.sh\n'],
  ['a comment', `# post-build-hook = ${OURS}\n`],
])('%s stays', (_, text) => {
  expect(withoutHook(text, OURS)).toBe(text)
})

test('the file keeps its mode, and one that is a link is left to whoever made it', async () => {
  const dir = tempDir()
  const [conf, link] = [join(dir, 'nix.conf'), join(dir, 'link.conf')]
  writeFileSync(conf, `post-build-hook = ${OURS}\ncores = 2\n`, { mode: 0o640 })
  symlinkSync(conf, link)
  expect(await hookLineRemoval(link, OURS).perform()).toMatch(
    /is a link, so remove post-build-hook from its source/,
  )
  expect(readFileSync(conf, 'utf8')).toContain(OURS)
  expect(await hookLineRemoval(conf, OURS).perform()).toMatch(/^removed post-build-hook from /)
  expect([readFileSync(conf, 'utf8'), lstatSync(conf).mode & 0o777]).toEqual(['cores = 2\n', 0o640])
})
