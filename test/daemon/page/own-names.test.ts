import { writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isForThisMachine, namesInHostsFile } from '../../../src/daemon/page/own-names.ts'
import { tempDir } from '../../spool/temp-spool.ts'

describe('a request is for this machine', () => {
  const MORE = ['Builder.example.org', '0.0.0.0']

  test.each([
    '127.0.0.1',
    '127.0.0.1:9850',
    '192.0.2.7:9850',
    '[::1]',
    '[::1]:9850',
    '[2001:db8::7]:9850',
    'localhost',
    'LOCALHOST:9850',
    'localhost.:9850',
    hostname(),
    `${hostname()}:9850`,
    `${hostname()}.local:9850`,
    'builder.example.org',
    'BUILDER.example.org.:443',
  ])('where it names %s', (host) => {
    expect(isForThisMachine(host, MORE)).toBe(true)
  })

  test.each([
    undefined,
    '',
    ':9850',
    'evil.example',
    'evil.example:9850',
    'localhost.evil.example',
    'evil-localhost',
    `${hostname()}.evil.example`,
    'builder.example.org.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1@evil.example',
    'evil.example/127.0.0.1',
    'localhost evil.example',
    'localhost:80:80',
    '[::1].evil.example',
    '[evil.example]',
    'localhost..',
  ])('and not where it names %j', (host) => {
    expect(isForThisMachine(host, MORE)).toBe(false)
  })
})

describe('/etc/hosts', () => {
  test('has more names for this machine beside its host name, and none on other lines', () => {
    const file = join(tempDir(), 'hosts')
    const lines = [
      '127.0.0.1 localhost # builder a.example',
      '127.0.0.1 blocked.example',
      '127.0.1.1\tbuilder.example.org  builder',
      '# 127.0.0.1 builder b.example',
      '192.0.2.1 builder cache.example.org',
      '192.0.2.2 other.example not-builder',
      '',
    ]
    writeFileSync(file, lines.join('\n'))
    const names = ['builder.example.org', 'builder', 'builder', 'cache.example.org']
    expect(namesInHostsFile('builder', file)).toEqual(names)
  })

  test('may be missing', () => {
    expect(namesInHostsFile('builder', join(tempDir(), 'hosts'))).toEqual([])
  })
})
