// A Nix for one test: a real release with a store, database, configuration and home of its own in a temporary
// directory. The host's store is never opened, so collecting garbage here is safe.

import { mkdir, mkdtemp, readFile, realpath, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { allOutputs, type Derivation, expressionFor } from './derivation.ts'
import { type Environment, nixConf, nixEnvironment } from './nix-environment.ts'
import type { NixVersion } from './nix-versions.mjs'
import { must, type RunOptions, type RunResult, runProgram } from './run.ts'

export interface PrivateNixOptions {
  /** Part of the directory's name, for whoever finds it. */
  name?: string
  /** Where to make the directory; the system's temporary directory by default. */
  dir?: string
  /** Lines added to nix.conf. */
  settings?: string[]
}

export interface BuildOptions {
  /** A program for `post-build-hook`. */
  hook?: string
  /** Given to nix-build, and thereby to its hook. */
  hookEnv?: Record<string, string>
  /** More arguments for nix-build, such as `--check`. */
  args?: string[]
  /** Whether a failed build throws; it does by default. */
  reject?: boolean
}

export interface BuildResult extends RunResult {
  /** Every output of what was asked for, not of what it depends on; empty when the build failed. */
  outPaths: string[]
  /** Of what was asked for, or of the first where that was a list. */
  drvPath: string
}

export interface Substituted extends RunResult {
  /** The root of the second store, for `local?root=`. */
  root: string
  /** The file that a store path is in the second store, whether it is there or not. */
  realFile(path: string): string
}

/** Makes a private Nix with an empty store. */
export async function makePrivateNix(
  version: NixVersion,
  options: PrivateNixOptions = {},
): Promise<PrivateNix> {
  // Nix refuses a store below a symlink, and a temporary directory may well lie behind one.
  const base = await realpath(options.dir ?? tmpdir())
  const nix = new PrivateNix(version, await mkdtemp(join(base, `nix-upload-${options.name ?? 'test'}-`)))
  await mkdir(nix.confDir)
  await mkdir(nix.env.HOME)
  await writeFile(join(nix.confDir, 'nix.conf'), nixConf(version, options.settings))
  // So that the directories are there before the first build, as on any machine that has Nix.
  must(await nix.run('nix-store', ['--init']), 'make an empty store')
  return nix
}

export class PrivateNix {
  readonly version: NixVersion
  /** Everything of this Nix is below it, and a test may put its own files there too. */
  readonly dir: string
  readonly storeDir: string
  readonly stateDir: string
  readonly confDir: string
  readonly gcrootsDir: string
  /** A complete environment: nothing of the ambient one but PATH, behind this Nix and this Node. */
  readonly env: Environment
  #count = 0

  constructor(version: NixVersion, dir: string) {
    this.version = version
    this.dir = dir
    this.storeDir = join(dir, 'store')
    this.stateDir = join(dir, 'var')
    this.confDir = join(dir, 'conf')
    this.gcrootsDir = join(this.stateDir, 'gcroots')
    this.env = nixEnvironment(version, dir)
  }

  /** Runs a program with this Nix. A failure is in the result; only what could not be run to its end throws. */
  run(command: string, args: string[] = [], options: RunOptions = {}): Promise<RunResult> {
    const env = { ...this.env, ...options.env }
    return runProgram(command, args, { cwd: this.dir, ...options, env })
  }

  /** Builds with `nix-build --no-out-link`: a derivation, or a Nix expression for one or for a list of them. */
  async build(what: Derivation | string, options: BuildOptions = {}): Promise<BuildResult> {
    const file = this.#fresh('expression.nix')
    await writeFile(file, allOutputs(expressionFor(what)))
    const evaluated = must(await this.run('nix-instantiate', [file]), `evaluate ${file}`)
    const hook = options.hook ? ['--option', 'post-build-hook', options.hook] : []
    const args = ['--no-out-link', file, ...hook, ...(options.args ?? [])]
    const built = await this.run('nix-build', args, options.hookEnv ? { env: options.hookEnv } : {})
    if (options.reject !== false) must(built, `build ${file}`)
    const drvPath = lines(evaluated.stdout)[0]?.replace(/!.*/, '') ?? ''
    return { ...built, outPaths: lines(built.stdout), drvPath }
  }

  /** Adds a file to the store: the quickest store path. It names its content, so no store asks it for a signature. */
  async addToStore(name: string, content: string): Promise<string> {
    const [path] = await this.addAllToStore({ [name]: content })
    return path ?? ''
  }

  /** Adds many files, by name, in one go; returns their paths in that order. */
  async addAllToStore(files: Record<string, string | Uint8Array>): Promise<string[]> {
    const dir = this.#fresh('files')
    await mkdir(dir)
    const paths = Object.keys(files).map((name) => join(dir, name))
    await Promise.all(Object.entries(files).map(([name, content]) => writeFile(join(dir, name), content)))
    return lines(must(await this.run('nix-store', ['--add', ...paths]), 'add files to the store').stdout)
  }

  /** Makes a key for signing; the public one is as `trusted-public-keys` wants it. */
  async keyPair(name: string): Promise<{ secretKeyFile: string; publicKey: string }> {
    const [secretKeyFile, publicKeyFile] = [this.#fresh(`${name}.secret`), this.#fresh(`${name}.public`)]
    const args = ['--generate-binary-cache-key', name, secretKeyFile, publicKeyFile]
    must(await this.run('nix-store', args), 'make a key')
    return { secretKeyFile, publicKey: (await readFile(publicKeyFile, 'utf8')).trim() }
  }

  /** Collects garbage in this store. */
  async gc(): Promise<void> {
    must(await this.run('nix-store', ['--gc']), 'collect garbage')
  }

  /** Whether this store has a path. */
  async isValid(path: string): Promise<boolean> {
    const result = await this.run('nix-store', ['--check-validity', '--print-invalid', path])
    return must(result, `look up ${path}`).stdout === ''
  }

  /**
   * Substitutes paths from a cache into a second, empty store, as a user of that cache would, trusting one key or
   * none. `more` is added to the environment. The second store goes by the same name, or the paths would not be the same, but lies elsewhere.
   */
  async substituteFrom(
    cacheUrl: string,
    paths: string[],
    publicKey?: string,
    more: Record<string, string> = {},
  ): Promise<Substituted> {
    const root = this.#fresh('second')
    // A home of its own too: Nix remembers there what a cache had the last time it asked.
    const home = join(root, 'home')
    const env = { HOME: home, XDG_CACHE_HOME: join(home, '.cache'), ...more }
    await mkdir(home, { recursive: true })
    const settings = {
      substituters: cacheUrl,
      'trusted-public-keys': publicKey ?? '',
      'require-sigs': 'true',
    }
    const args = Object.entries(settings).flatMap(([name, value]) => ['--option', name, value])
    const command = ['--store', `local?root=${root}`, ...args, '--realise', ...paths]
    const result = await this.run('nix-store', command, { env })
    return { ...result, root, realFile: (path) => join(root, 'nix/store', basename(path)) }
  }

  /** Removes everything. What is in a store is read-only, which holds up everyone but root. */
  async cleanup(): Promise<void> {
    const command = 'chmod -R u+w -- "$1" && rm -rf -- "$1"'
    must(await this.run('sh', ['-c', command, 'sh', this.dir], { cwd: '/' }), `remove ${this.dir}`)
  }

  #fresh(name: string): string {
    this.#count += 1
    return join(this.dir, `${this.#count}-${name}`)
  }
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}
