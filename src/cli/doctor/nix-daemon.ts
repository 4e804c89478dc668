import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { daemonAccess, daemonSocket } from '../../nix/daemon-socket.ts'
import { run } from '../../util/run-program.ts'
import { type Check, fail, ok, type Patient, toType } from './check.ts'

const NAME = 'nix-daemon'

/** May the service use nix-daemon? Otherwise all other questions to Nix fail, and this looks like the destination's fault. */
export async function checkNixDaemon({ service }: Patient): Promise<Check[]> {
  const { name: user } = service.user
  const socket = daemonSocket()
  const access = await daemonAccess()
  if (access === 'none') return []
  if (access === 'open') return [ok(NAME, `takes connections from ${user}`)]
  if (access === 'dead') {
    const what = `no process listens on ${socket}`
    return [fail(NAME, what, toType('Start it', 'systemctl start nix-daemon.socket'))]
  }
  const what = `${user} may not connect to it: permission denied: ${socket}`
  const group = await groupOf(socket)
  if (group === undefined)
    return [fail(NAME, what, `See who may connect: ls -ld ${dirname(socket)} ${socket}`)]
  const lines = [
    `usermod --append --groups ${group} ${user}`,
    ...(service.unit ? [`systemctl restart ${service.unit.name}`] : []),
  ]
  return [fail(NAME, what, toType(`Members of the group ${group} may connect`, ...lines))]
}

/** The group that may connect, by the directory or the socket; undefined if only root may, or if this can't be seen. */
async function groupOf(socket: string): Promise<string | undefined> {
  const directory = statSync(dirname(socket), { throwIfNoEntry: false })
  const isDirectoryOpen = directory !== undefined && (directory.mode & 0o001) !== 0
  const gid = isDirectoryOpen ? statSync(socket, { throwIfNoEntry: false })?.gid : directory?.gid
  if (gid === undefined || gid === 0) return undefined
  const { stdout } = await run('getent', ['group', `${gid}`])
  return stdout.split(':')[0] || undefined
}
