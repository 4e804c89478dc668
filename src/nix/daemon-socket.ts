import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { codeOf } from '../util/user-error.ts'

/** Where nix-daemon listens. */
export function daemonSocket(env: NodeJS.ProcessEnv = process.env): string {
  return env.NIX_DAEMON_SOCKET_PATH ?? join(env.NIX_STATE_DIR ?? '/nix/var/nix', 'daemon-socket/socket')
}

/**
 * Whether nix-daemon accepts a connection from this process. We try it, since each Nix reports it differently, if at all.
 * @returns `none` if there is no such socket (most likely a single-user store); `closed` if this user has no permission; `dead` if nobody listens.
 */
export async function daemonAccess(): Promise<'open' | 'none' | 'closed' | 'dead'> {
  const socket = connect(daemonSocket())
  try {
    await once(socket, 'connect')
    return 'open'
  } catch (error) {
    const code = codeOf(error) ?? ''
    if (code === 'EACCES' || code === 'EPERM') return 'closed'
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'none' : 'dead'
  } finally {
    socket.destroy()
  }
}
