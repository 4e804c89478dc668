import { expect, test } from 'vitest'
import { Throughput } from '../../src/delivery/throughput.ts'

const SECOND = 1000

test('a first look has nothing to compare with', () => {
  expect(new Throughput().look({ bytes: 1e6, jobs: 3 }, 0)).toEqual({ bytes: 0, jobs: 0 })
})

test('is what went out per second, of the last ten seconds', () => {
  const throughput = new Throughput()
  for (let second = 0; second <= 20; second++) throughput.look({ bytes: 0, jobs: second }, second * SECOND)
  for (let second = 21; second < 30; second++) throughput.look({ bytes: 0, jobs: 20 }, second * SECOND)
  expect(throughput.look({ bytes: 5000, jobs: 20 }, 30 * SECOND)).toEqual({ bytes: 500, jobs: 0 })
})

test('begins anew after a time in which nobody looked', () => {
  const throughput = new Throughput()
  throughput.look({ bytes: 0, jobs: 0 }, 0)
  expect(throughput.look({ bytes: 1000, jobs: 1 }, 3600 * SECOND)).toEqual({ bytes: 0, jobs: 0 })
  expect(throughput.look({ bytes: 3000, jobs: 1 }, 3601 * SECOND)).toEqual({ bytes: 2000, jobs: 0 })
})

test('is never negative: what went out in vain is taken back', () => {
  const throughput = new Throughput()
  throughput.look({ bytes: 1000, jobs: 0 }, 0)
  expect(throughput.look({ bytes: 500, jobs: 0 }, SECOND)).toEqual({ bytes: 0, jobs: 0 })
})
