import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { recover } from '../../src/spool/recover.ts'
import { contentOf, jobText, put, putRoot, rooted, tempSpool, tree } from './temp-spool.ts'

const nobodys = () => false

describe('C5, T7: what a dead daemon left in cur/', () => {
  test('is back in new/ byte for byte, with its roots', () => {
    const temp = tempSpool()
    for (let at = 0; at < 50; at++) put(temp.spool, 'cur', `${at}.json`, jobText(`job-${at}`))
    putRoot(temp, '7.json')
    expect(recover(temp.spool, nobodys)).toHaveLength(50)
    expect(tree(temp.spool).new).toHaveLength(50)
    expect(tree(temp.spool)).not.toHaveProperty('cur')
    expect(contentOf(temp.spool, 'new', '7.json')).toBe(jobText('job-7'))
    expect(rooted(temp)).toEqual(['7.json'])
  })

  test('does not lie over what is in new/', () => {
    const { spool } = tempSpool()
    put(spool, 'new', 'X.json', 'another')
    put(spool, 'cur', 'X.json')
    expect(recover(spool, nobodys)).toEqual(['X~1.json'])
    expect(contentOf(spool, 'new', 'X.json')).toBe('another')
  })

  test('is nothing where all was settled, and a second time finds nothing', () => {
    const { spool } = tempSpool()
    put(spool, 'cur', 'X.json')
    put(spool, 'done', 'D.json')
    put(spool, 'failed', 'F.json')
    expect(recover(spool, nobodys)).toEqual(['X.json'])
    expect(recover(spool, nobodys)).toEqual([])
    expect(tree(spool)).toEqual({ new: ['X.json'], done: ['D.json'], failed: ['F.json'] })
  })
})

describe('T7: what somebody put into cur/ by hand', () => {
  test('goes to new/ and through the door, whatever it is; what the daemon claimed itself stays', () => {
    const { spool } = tempSpool()
    put(spool, 'cur', 'ours.json')
    put(spool, 'cur', 'no job', '{')
    mkdirSync(join(spool.cur, 'directory'))
    symlinkSync('/etc/passwd', join(spool.cur, 'link'))
    expect(recover(spool, (name) => name === 'ours.json').sort()).toEqual(['directory', 'link', 'no job'])
    expect(tree(spool)).toEqual({ new: ['directory', 'link', 'no job'], cur: ['ours.json'] })
  })

  test('is left alone where it is no job by its name', () => {
    const { spool } = tempSpool()
    put(spool, 'cur', '.X.json.swp')
    put(spool, 'cur', 'X.json.reason')
    expect(recover(spool, nobodys)).toEqual([])
  })
})
