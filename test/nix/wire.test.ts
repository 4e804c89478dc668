import { expect, test } from 'vitest'
import { encode, WireReader } from '../../src/nix/wire.ts'

test('numbers take eight bytes, the lowest first, and texts are filled up to a multiple of that', () => {
  expect(encode([1, 'ab']).toString('hex')).toBe(
    ['01', '02', '6162'].map((hex) => hex.padEnd(16, '0')).join(''),
  )
  expect(encode(['12345678']).length).toBe(16)
  expect(encode([''])).toEqual(encode([0]))
  expect(encode([Buffer.from([0xff])])).toEqual(Buffer.from('0100000000000000ff00000000000000', 'hex'))
})

test('what is written is read again, however it comes in', () => {
  const bytes = encode([2 ** 40 + 7, 'städte', 2, 'a', 'b', ''])
  const read = (reader: WireReader) => [reader.number(), reader.text(), reader.texts(), reader.text()]
  for (const step of [1, 7, 8, 1000]) {
    const reader = new WireReader()
    const found: unknown[] = []
    for (let at = 0; at < bytes.length; at += step) {
      reader.push(bytes.subarray(at, at + step))
      const value = reader.attempt(read)
      if (value) found.push(value)
    }
    expect(found).toEqual([[2 ** 40 + 7, 'städte', ['a', 'b'], '']])
  }
})

test('an error that is not for want of bytes is one', () => {
  const broken = () => {
    throw new Error('broken')
  }
  expect(() => new WireReader().attempt(broken)).toThrow('broken')
})
