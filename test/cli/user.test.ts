import { expect, test } from 'vitest'
import { whoMay } from '../../src/cli/user.ts'

test.each([
  { what: 'that can be looked at', path: '/etc/x' },
  { what: 'that is not there', path: '/nowhere/x' },
  { what: 'that is none', path: '/etc/passwd/new/x' },
])('who may write is told without an error for a directory $what', async ({ path }) => {
  const error = Object.assign(new Error('permission denied'), { code: 'EACCES', path })
  expect(await whoMay(error)).toMatch(/^(; .* belongs to root: run this as root)?$/)
})
