// A machine that boots: a Debian with systemd and nix-daemon, in a container of systemd-nspawn, with npm's package
// installed as docs/INSTALL.md and docs/SYSTEMD.md say. What it writes is in memory, and outlives its reboots.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { descendantsOf, until } from '../integration/daemon.ts'
import { ensureMachineRoot } from '../support/machine-root.mjs'
import { must, type RunResult, runProgram } from '../support/run.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
/** Where `npm install --global` puts it. */
const INSTALLED = 'usr/local/lib/node_modules/nix-upload'
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** Where control groups are: one tree of version 2 or, beside it, what systemd needs of version 1. */
const CGROUPS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd'].filter((root) =>
  existsSync(join(root, 'cgroup.procs')),
)
/** Two machines in one control group would take each other's services for their own. */
const IN_CGROUP = `name=$1; shift
for root in ${CGROUPS.join(' ')}; do
  mkdir -p "$root/$name" && echo $$ > "$root/$name/cgroup.procs"
done
exec "$@"`
/** SIGRTMIN+4: systemd as PID 1 powers off in good order. */
const POWER_OFF = '38'

export class Machine {
  /** Its file system, as seen from outside. */
  readonly root: string
  readonly #dir: string
  readonly #hasNode: boolean
  readonly #neighbour: Machine | undefined
  #container: ChildProcess | undefined
  #console = ''

  constructor(dir: string, hasNode: boolean, neighbour?: Machine) {
    this.#dir = dir
    this.#hasNode = hasNode
    this.#neighbour = neighbour
    this.root = join(dir, 'root')
  }

  /**
   * Puts a machine together; it isn't booted yet.
   * @param units Whether user, directories and units are there, too, or only the package.
   * @param npm Whether npm's package is there at all, and a Node to run it.
   * @param neighbour A machine that is up, whose network it shares: each is localhost to the other.
   */
  static async make({
    suite = 'trixie',
    units = true,
    npm = true,
    neighbour,
  }: {
    suite?: string
    units?: boolean
    npm?: boolean
    neighbour?: Machine
  } = {}): Promise<Machine> {
    const lower = await ensureMachineRoot(suite)
    const dir = await mkdtemp(join(tmpdir(), 'nix-upload-machine-'))
    const machine = new Machine(dir, npm, neighbour)
    // In memory, since the temporary directory may itself be an overlay, which can't be the upper layer of one.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', dir])
    for (const name of ['root', 'upper', 'work']) mkdirSync(join(dir, name))
    const layers = `lowerdir=${lower},upperdir=${join(dir, 'upper')},workdir=${join(dir, 'work')}`
    execFileSync('mount', ['-t', 'overlay', '-o', layers, 'overlay', machine.root])
    if (npm) machine.#install()
    if (npm && units) machine.#installUnits()
    return machine
  }

  #install(): void {
    const home = join(this.root, INSTALLED)
    const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: PROJECT,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    for (const [, path = ''] of packed.toString().matchAll(/"path": "(.*)"/g)) {
      mkdirSync(dirname(join(home, path)), { recursive: true })
      cpSync(join(PROJECT, path), join(home, path))
    }
    const modules = execFileSync('npm', ['ls', '--all', '--omit=dev', '--parseable'], {
      cwd: PROJECT,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    for (const path of modules.toString().trim().split('\n').slice(1))
      cpSync(path, join(home, relative(PROJECT, path)), { recursive: true })
    for (const name of ['nix-upload', 'nix-upload-hook'])
      symlinkSync(join('/', INSTALLED, 'bin', name), join(this.root, 'usr/local/bin', name))
    this.write('usr/local/bin/node', '')
  }

  #installUnits(): void {
    const home = join(this.root, INSTALLED)
    for (const name of [
      'nix-upload.service',
      'nix-upload-drain.service',
      'nix-upload-drain.path',
      'nix-upload-drain.timer',
    ])
      cpSync(join(home, 'systemd', name), join(this.root, 'etc/systemd/system', name))
    cpSync(join(home, 'systemd/nix-upload.sysusers'), join(this.root, 'etc/sysusers.d/nix-upload.conf'))
    cpSync(join(home, 'systemd/nix-upload.tmpfiles'), join(this.root, 'etc/tmpfiles.d/nix-upload.conf'))
  }

  /** Writes a file of the machine's. */
  write(path: string, content: string, mode = 0o644): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true })
    writeFileSync(join(this.root, path), content, { mode })
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), 'utf8')
  }

  /** Boots it, and waits until systemd has started all that is to start. */
  async boot(): Promise<void> {
    const node = join(PROJECT, 'node_modules/node/bin/node')
    const args = [
      ...[
        '--quiet',
        '--directory',
        this.root,
        '--boot',
        '--register=no',
        '--keep-unit',
        '--private-users=no',
      ],
      ...['--link-journal=no', '--console=pipe', '--resolv-conf=off', '--timezone=off'],
      this.#neighbour
        ? `--network-namespace-path=/proc/${this.#neighbour.#leader}/ns/net`
        : '--private-network',
      ...(this.#hasNode
        ? [`--bind-ro=${existsSync(node) ? node : process.execPath}:/usr/local/bin/node`]
        : []),
    ]
    const env = { PATH: process.env.PATH ?? PATH, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' }
    const command = ['-c', IN_CGROUP, 'sh', basename(this.#dir), 'systemd-nspawn', ...args]
    const container = spawn('sh', command, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#container = container
    const listen = (chunk: Buffer) => {
      this.#console = `${this.#console}${chunk}`.slice(-10_000)
    }
    container.stdout.on('data', listen)
    container.stderr.on('data', listen)
    container.on('error', (error) => {
      this.#console += `systemd-nspawn: ${error.message}`
    })
    const isUp = async () => {
      if (container.exitCode !== null || container.pid === undefined)
        throw new Error(`it didn't boot:\n${this.#console}`)
      if (this.#leader === undefined) return false
      const { stdout } = await this.run('systemctl', ['is-system-running'])
      return /running|degraded/.test(stdout)
    }
    await until(isUp, () => `the machine to boot:\n${this.#console}`, 60_000)
  }

  /** Its PID 1, as we see it. */
  get #leader(): number | undefined {
    return this.#container?.pid === undefined ? undefined : descendantsOf(this.#container.pid)[0]
  }

  /** Runs a program in it, as root. */
  run(command: string, args: string[], timeout = 60_000): Promise<RunResult> {
    const inside = [
      '--target',
      `${this.#leader}`,
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--pid',
      '--root',
      '--wd',
    ]
    return runProgram('nsenter', [...inside, command, ...args], {
      env: { PATH, LC_ALL: 'C.UTF-8', HOME: '/root' },
      timeout,
    })
  }

  /** Runs a program in it that has to succeed; returns what it printed. */
  async do(command: string, ...args: string[]): Promise<string> {
    return must(await this.run(command, args), `run ${command} ${args.join(' ')}`).stdout
  }

  /** Runs a line of shell in it, as root or as somebody else, with their login's environment. */
  shell(line: string, user = 'root'): Promise<RunResult> {
    return this.run('runuser', ['-l', user, '-c', line])
  }

  /** A property of a unit's. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.do('systemctl', 'show', '--value', `--property=${name}`, unit)).trim()
  }

  /** What a unit has written to the journal since the machine was booted. */
  async journal(unit: string): Promise<string> {
    return this.do('journalctl', '--boot', '--quiet', '--no-pager', '--output=cat', `--unit=${unit}`)
  }

  /** Powers it off in good order, or, as a power cut does, kills everything at once. */
  async off(how: 'in order' | 'power cut'): Promise<void> {
    const container = this.#container
    if (!container || container.exitCode !== null || container.signalCode !== null) return
    const gone = new Promise((resolve) => container.once('exit', resolve))
    const leader = this.#leader
    if (leader === undefined) container.kill('SIGKILL')
    else execFileSync('kill', ['-s', how === 'in order' ? POWER_OFF : 'KILL', `${leader}`])
    await gone
    this.#container = undefined
  }

  async discard(): Promise<void> {
    await this.off('power cut')
    execFileSync('umount', ['--lazy', this.root])
    execFileSync('umount', ['--lazy', this.#dir])
    rmSync(this.#dir, { recursive: true })
    for (const root of CGROUPS) {
      const group = join(root, basename(this.#dir))
      if (existsSync(group))
        execFileSync('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';'])
    }
  }
}
