// Has Nix evaluate configurations with the modules: of a whole NixOS or nix-darwin where NIX_UPLOAD_TEST_NIXPKGS and
// NIX_UPLOAD_TEST_NIX_DARWIN name checkouts of nixpkgs and nix-darwin, otherwise with what stands in for them.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod/mini'
import { nixVersions } from '../support/nix-versions.mjs'
import { must, type RunResult, runProgram } from '../support/run.ts'

/** Empty where there is none. */
export const NIXPKGS = process.env.NIX_UPLOAD_TEST_NIXPKGS ?? ''
const NIX_DARWIN = NIXPKGS === '' ? '' : (process.env.NIX_UPLOAD_TEST_NIX_DARWIN ?? '')

const section = z.record(z.string(), z.unknown())
const service = z.object({
  serviceConfig: section,
  unitConfig: section,
  environment: z.record(z.string(), z.nullable(z.string())),
  wantedBy: z.array(z.string()),
  restartTriggers: z.array(z.string()),
  path: z.array(z.string()),
})
const common = {
  failed: z.array(z.string()),
  settings: section,
  package: z.string(),
  hook: z.nullable(z.string()),
  hookProgram: z.string(),
  directories: z.array(z.string()),
  aws: z.nullable(z.string()),
  etc: z.array(z.string()),
  nixConf: z.string(),
}
const nixos = z.object({
  ...common,
  check: z.string(),
  user: z.string(),
  packages: z.array(z.string()),
  tmpfiles: z.array(z.string()),
  ssh: z.string(),
  services: z.record(z.string(), service),
  paths: z.record(
    z.string(),
    z.object({ pathConfig: section, unitConfig: section, wantedBy: z.array(z.string()) }),
  ),
  timers: z.record(z.string(), z.object({ wantedBy: z.array(z.string()) })),
  units: z.record(z.string(), z.object({ text: z.string(), wantedBy: z.array(z.string()) })),
})
const darwin = z.object({
  ...common,
  launchd: z.object({ script: z.string(), serviceConfig: section }),
})
export type NixOs = z.output<typeof nixos>
export type Darwin = z.output<typeof darwin>

/** A module that turns nix-upload on. */
export function enabled(options = '', rest = ''): string {
  return `{ pkgs, lib, config, ... }: { services.nix-upload = { enable = true; ${options} }; ${rest} }`
}

interface Options {
  /** A platform to cross-compile for. */
  crossSystem?: string
  /** Takes the stand-in in any case. It is a hundred times as fast, and does for what the module alone decides. */
  isQuick?: boolean
}

/** Evaluates NixOS configurations, modules by name, all in one go. */
export async function evaluateNixOs(
  modules: Record<string, string>,
  options: Options = {},
): Promise<Record<string, NixOs>> {
  const { stdout } = must(await instantiate(modules, 'nixos', options), 'evaluate for NixOS')
  return z.parse(z.record(z.string(), nixos), JSON.parse(stdout))
}

/** The same for nix-darwin. */
export async function evaluateDarwin(modules: Record<string, string>): Promise<Record<string, Darwin>> {
  const { stdout } = must(await instantiate(modules, 'darwin'), 'evaluate for nix-darwin')
  return z.parse(z.record(z.string(), darwin), JSON.parse(stdout))
}

/** Evaluates configurations of which one may be none at all. */
export async function instantiate(
  modules: Record<string, string>,
  kind: 'nixos' | 'darwin',
  { crossSystem, isQuick = false }: Options = {},
): Promise<RunResult> {
  const newest = (await nixVersions()).at(-1)
  if (!newest) throw new Error('there is no Nix to test with')
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-module-'))
  try {
    const at = (name: string) => join(dir, name)
    const env = {
      HOME: dir,
      NIX_STATE_DIR: at('state'),
      NIX_LOG_DIR: at('log'),
      NIX_CONF_DIR: at('conf'),
      NIX_CONFIG: 'build-users-group =',
      // Nix's garbage collector took a quarter of the time.
      GC_INITIAL_HEAP_SIZE: '1G',
    }
    const bindings = Object.entries(modules).map(([name, text]) => `${JSON.stringify(name)} = ${text};`)
    await writeFile(at('configurations.nix'), `{\n${bindings.join('\n')}\n}\n`)
    const isReal = !isQuick && (kind === 'nixos' || NIX_DARWIN !== '')
    const given = {
      configurations: at('configurations.nix'),
      kind,
      nixpkgs: isReal ? NIXPKGS : '',
      nixDarwin: NIX_DARWIN,
      ...(crossSystem === undefined ? {} : { crossSystem }),
    }
    const file = fileURLToPath(new URL('evaluate.nix', import.meta.url))
    const args = ['--eval', '--strict', '--json', '--readonly-mode', file]
    const values = Object.entries(given).flatMap(([name, value]) => ['--argstr', name, value])
    return await runProgram(join(newest.bin, 'nix-instantiate'), [...args, ...values], { env })
  } finally {
    await rm(dir, { recursive: true })
  }
}
