import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findLogin } from '../../../src/transport/http/netrc.ts'
import { everyNix } from '../../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../../support/private-nix.ts'
import { fakeServer } from '../fake-server.ts'

const NETRC = `
# machine commented.example login no password no
machine cache.example
  login builder
  password "with space, \\"quotes\\" and a \\\\ backslash"
machine cache.example login reader password r#ead
macdef init
machine macro.example login no password no

machine other.example password only
default login anonymous password guest
`

test('finds the first entry of a host', () => {
  const password = 'with space, "quotes" and a \\ backslash'
  expect(findLogin(NETRC, 'cache.example')).toEqual({ user: 'builder', password })
  expect(findLogin(NETRC, 'CACHE.Example')).toEqual({ user: 'builder', password })
})

test('finds the entry of the user who is wanted', () => {
  expect(findLogin(NETRC, 'cache.example', 'reader')).toEqual({ user: 'reader', password: 'r#ead' })
})

test('takes an entry without a user name for whoever is wanted', () => {
  expect(findLogin(NETRC, 'other.example', 'me')).toEqual({ user: 'me', password: 'only' })
})

test('takes the default entry where there is no other, and not what is commented out or in a macro', () => {
  for (const host of ['unknown.example', 'commented.example', 'macro.example']) {
    expect(findLogin(NETRC, host), host).toEqual({ user: 'anonymous', password: 'guest' })
  }
})

test('finds nothing in an empty file, and nothing of another host', () => {
  expect(findLogin('', 'cache.example')).toBeUndefined()
  expect(findLogin('machine a.example login a password a', 'b.example')).toBeUndefined()
})

test('takes keywords in any case, and the rest as it is written', () => {
  expect(findLogin('MACHINE cache.example Login Me PassWord SeCret', 'cache.example')).toEqual({
    user: 'Me',
    password: 'SeCret',
  })
})

test('finds an IPv6 address, which a URL has in brackets', () => {
  expect(findLogin('machine ::1 login a password b', '[::1]')).toEqual({ user: 'a', password: 'b' })
})

test('finds only what names the host, if the default entry doesn’t count', () => {
  expect(findLogin(NETRC, 'unknown.example', undefined, false)).toBeUndefined()
  expect(findLogin(NETRC, 'cache.example', undefined, false)).toMatchObject({ user: 'builder' })
})

test('reads a file on one line, and a password that looks like a keyword', () => {
  expect(findLogin('machine a login default password machine machine b login b password c', 'b')).toEqual({
    user: 'b',
    password: 'c',
  })
})

test('a blank that is not ASCII belongs to the password, as with curl', () => {
  expect(findLogin('machine a login me password p\u00a0q\u2003r', 'a')).toEqual({
    user: 'me',
    password: 'p\u00a0q\u2003r',
  })
})

// Nix 2.8 comes with curl 7, which took the rest of the line for a comment.
describe.each((await everyNix()).filter(({ version }) => !version.startsWith('2.8')))(
  'a # is read as $name reads it',
  (version) => {
    let nix: PrivateNix
    beforeAll(async () => {
      nix = await makePrivateNix(version, { name: 'netrc' })
    })
    afterAll(() => nix.cleanup())

    test.each([
      ['at the start of a password', 'password #x\n', '#x'],
      ['within a password', 'password p#x\n', 'p#x'],
      ['in quotes', 'password "#x y"\n', '#x y'],
      ['behind a password', 'password p #x\n', 'p'],
      ['at the start of a line', '\n# password x\npassword p\n', 'p'],
      ['indented', '\n \t# login x\npassword p\n', 'p'],
    ])('%s', async (_, rest, password) => {
      const netrc = `machine 127.0.0.1 login me ${rest}`
      const server = await fakeServer((_, response) => void response.writeHead(404).end())
      const file = join(nix.dir, 'netrc')
      await writeFile(file, netrc)
      await nix.run('nix', ['store', 'ping', '--store', server.url, '--option', 'netrc-file', file])
      const sent = server.asked.flatMap(({ headers }) => headers.authorization ?? [])
      const basic = `Basic ${Buffer.from(`me:${password}`).toString('base64')}`
      expect(sent[0]).toBe(basic)
      expect(findLogin(netrc, '127.0.0.1')).toEqual({ user: 'me', password })
    })
  },
)
