// Content-addressed derivations: a machine that builds one, and another that has the expression and wants its output.

import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HOOK, makeSite, type Site } from '../integration/site.ts'
import { everyNix, type NixVersion } from '../support/nix-versions.mjs'
import { must, type RunResult } from '../support/run.ts'

/**
 * A program that refers to a library, was made with a tool, and comes after something whose path is known before its build but
 * for what that is made of.
 */
export const PROGRAM = `let
  derive = more: name: script: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // more);
  floating = derive { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  tool = floating "tool" "echo tool > $out";
  library = floating "library" "read x < \${tool}; echo library > $out";
  middle = derive { } "middle" "echo middle \${library} > $out";
in derive {
  __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputs = [ "out" "dev" ];
} "program" "read x < \${tool}; echo \${middle} > $out; echo \${library} > $dev"`

/** A derivation alone. */
export const TOOL = `derivation {
  name = "tool"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo tool > $out" ];
  __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
}`

/** Releases that tell the hook what such a derivation came to: Nix 2.8 doesn't, Lix has none. */
export async function nixesWithFloatingOutputs(): Promise<NixVersion[]> {
  return (await everyNix()).filter(({ version, isLix }) => !isLix && version !== '2.8.0')
}

/** A machine with `ca-derivations`. */
export async function makeCaSite(version?: NixVersion): Promise<Site> {
  const site = await makeSite(version)
  await site.makeSpool()
  await appendFile(join(site.nix.confDir, 'nix.conf'), 'extra-experimental-features = ca-derivations\n')
  return site
}

/** Builds the program or something else with the hook; returns its first output. */
export async function buildHooked(site: Site, expression = PROGRAM): Promise<string> {
  const { outPaths } = await site.nix.build(expression, { hook: HOOK, hookEnv: site.env })
  return outPaths[0] ?? ''
}

let count = 0

/**
 * Asks another machine, which may not build anything, for the program.
 * @param root Of its store; an empty one unless told otherwise.
 */
export async function elsewhere(
  site: Site,
  substituter: string,
  publicKey: string,
  root = join(site.nix.dir, `elsewhere-${++count}`),
): Promise<RunResult> {
  await mkdir(root, { recursive: true })
  const file = join(root, 'expression.nix')
  await writeFile(file, PROGRAM)
  const settings = {
    substituters: substituter,
    'trusted-public-keys': publicKey,
    'require-sigs': 'true',
    'max-jobs': '0',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['--option', name, value])
  const args = ['--store', `local?root=${root}`, '--no-out-link', file, ...options]
  return await site.nix.run('nix-build', args, { env: { XDG_CACHE_HOME: join(root, 'cache') } })
}

/** The files of realisations in a directory, by name. */
export async function realisationsIn(directory: string): Promise<Map<string, string>> {
  const names = await readdir(directory, { recursive: true })
  const found = names.filter((name) => name.endsWith('.doi')).sort()
  const texts = await Promise.all(found.map((name) => readFile(join(directory, name), 'utf8')))
  return new Map(found.map((name, at) => [name, texts[at] ?? '']))
}

/** What the jobs that are done have to say, where they do. */
export async function notesOf(site: Site, destination = 'default'): Promise<unknown[]> {
  const records = await Promise.all(
    site.names('done').map((name) => site.delivery('done', name, destination)),
  )
  return records.flatMap(({ note }) => note ?? [])
}

/** Delivers what waits. */
export async function drain(site: Site, toml: string, env: Record<string, string> = {}): Promise<void> {
  must(await site.run(['drain', ...(await site.configured(`[[destination]]\n${toml}\n`))], { env }), 'drain')
}
