import { expect, test } from 'vitest'
import { findLogin } from '../../../src/transport/http/netrc.ts'

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
