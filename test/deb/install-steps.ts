// "Install" and "Set up" of README.md, from a checkout to a signed path that another machine has fetched: each command is typed as
// it is printed.

import { cpSync, existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type RunResult, runProgram } from '../support/run.ts'
import type { Machine } from '../systemd/machine.ts'
import type { Steps } from '../tour/readme-page.ts'

const HOOK_LINE = 'post-build-hook = /etc/nix/nix-upload-hook\n'
/** Of all machines in a test, which have no network. */
export const NIX_CONF = 'sandbox = false\nsubstituters =\n'

/** Where the README's commands are typed: which are for which machine, and what its examples stand for. */
export class Journey {
  readonly checkout: string
  readonly builder: Machine
  readonly fetcher: Machine
  #at: 'checkout' | 'builder' | 'fetcher' = 'checkout'
  /** What the README has for an example, and what it is here, once it is known. */
  readonly #standsFor = { 'builder-1:…': 'builder-1:…', '/nix/store/…-first': '/nix/store/…-first' }

  constructor(checkout: string, builder: Machine, fetcher: Machine) {
    this.checkout = checkout
    this.builder = builder
    this.fetcher = fetcher
    fetcher.write('etc/hosts', '127.0.0.1 localhost builder\n')
  }

  /** Types a line where the journey is by now. */
  readonly run = (line: string): Promise<RunResult> => {
    const typed = Object.entries(this.#standsFor).reduce((text, [from, to]) => text.replace(from, to), line)
    if (this.#at !== 'checkout') return this[this.#at].shell(typed)
    const env = { PATH: process.env.PATH ?? '', HOME: homedir(), SOURCE_DATE_EPOCH: '1' }
    return runProgram('sh', ['-c', typed], { cwd: this.checkout, env })
  }

  get installSteps(): Steps {
    const { checkout, builder } = this
    const deb = 'nix-upload_0.1.0_amd64.deb'
    return {
      // The second Debian gets the package that was made for the first.
      'npm run deb': async (type) => {
        this.#at = 'checkout'
        if (!existsSync(join(checkout, deb))) await type()
        cpSync(join(checkout, deb), join(builder.root, 'root', deb))
      },
      // It is there already, as the machine has no network.
      'apt-get install nix-setup-systemd': async (type) => {
        this.#at = 'builder'
        await type()
      },
      [`apt-get install ./${deb}`]: async (type) => {
        const { stdout } = await type()
        expect(stdout).toContain('to set it up, type: nix-upload init --install --to URL')
      },
    }
  }

  get setUpSteps(): Steps {
    const { builder, fetcher } = this
    let printed = ''
    return {
      'nix-upload init --install --to file:///srv/cache': async (type, line) => {
        const { stdout } = await builder.shell(line.replace(/ *#.*/, ' --dry-run'))
        expect(stdout).toContain('would write /etc/nix-upload/config.toml')
        expect(existsSync(join(builder.root, 'etc/nix-upload'))).toBe(false)
        printed = (await type()).stdout
      },
      "echo 'post-build-hook = /etc/nix/nix-upload-hook' >> /etc/nix/nix.conf": async (type) => {
        expect(printed).toContain(`    ${HOOK_LINE}`)
        await type()
      },
      'systemctl restart nix-daemon': async (type, line) => {
        expect(printed).toContain(`    ${line}\n`)
        await type()
      },
      'systemctl enable --now nix-upload.service': async (type, line) => {
        expect(printed).toContain(`    ${line}\n`)
        await type()
      },
      [FIRST_BUILD]: async (type) => {
        this.#standsFor['/nix/store/…-first'] = (await type()).stdout
      },
      'nix-upload wait --timeout 1m': async (type) => {
        await type()
      },
      'nix-upload doctor': async (type) => {
        expect((await type()).stdout).toMatch(/^ok {7}hook: \/etc\/nix\/nix-upload-hook$/m)
      },
      // As nix-setup-systemd; its installation would start it.
      'apt-get install nginx': async (type) => {
        await type()
        await builder.do('systemctl', 'start', 'nginx')
      },
      'ln -s /srv/cache /var/www/html/cache': async (type) => {
        await type()
      },
      'cat /etc/nix-upload/cache.pub': async (type) => {
        this.#standsFor['builder-1:…'] = (await type()).stdout
      },
      "echo 'extra-substituters = http://builder/cache' >> /etc/nix/nix.conf": async (type) => {
        this.#at = 'fetcher'
        await type()
      },
      "echo 'extra-trusted-public-keys = builder-1:…' >> /etc/nix/nix.conf": async (type) => {
        const untrusted = await this.run(FETCH)
        expect(untrusted.exitCode, untrusted.stdout).not.toBe(0)
        await type()
      },
      'systemctl try-restart nix-daemon': async (type) => {
        await type()
      },
      [FETCH]: async (type) => {
        const { stdout } = await type()
        expect(fetcher.read(stdout)).toBe('1\n')
      },
    }
  }
}

const FIRST_BUILD = `nix-build --no-out-link -E 'derivation { name = "first"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "echo 1 > $out"]; }'`
const FETCH = 'nix-store --realise /nix/store/…-first'
