import { expect, test } from 'vitest'
import { archiveUrlOf, baseOf, urlOf } from '../../../src/transport/http/http-url.ts'

test.each([
  ['00.narinfo', 'https://cache.example/a/00.narinfo'],
  // As Nix asks for it.
  ['realisations/sha256:00!out.doi', 'https://cache.example/a/realisations/sha256:00!out.doi'],
  ['log/a b?c#d%.drv', 'https://cache.example/a/log/a%20b%3Fc%23d%25.drv'],
])('the URL of %s has its name as it is, but for what means something in a URL', (name, url) => {
  expect(urlOf(baseOf('https://cache.example/a/?priority=10'), name).href).toBe(url)
})

test.each([
  ['nar/00.nar.zst', 'https://cache.example/a/nar/00.nar.zst'],
  ['nar/00.nar.zst?token=x%2Fy', 'https://cache.example/a/nar/00.nar.zst?token=x%2Fy'],
  ['https://files.example/00.nar.zst?v=1', 'https://files.example/00.nar.zst?v=1'],
  ['https://', 'https://cache.example/a/https://'],
])('an archive whose narinfo says %s is looked for where Nix fetches it', (reference, url) => {
  expect(archiveUrlOf(baseOf('https://cache.example/a/?priority=10'), reference).href).toBe(url)
})
