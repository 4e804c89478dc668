import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname } from 'node:os'

/**
 * Tells whether a request was meant for this machine, by its Host header. Any web site can make its own name resolve to this
 * machine (DNS rebinding), and could then read our answers; but the browser sends that site's name.
 * @param host What the header says, with or without a port.
 * @param more Names that are ours too, beside addresses, `localhost` and what the system calls the machine.
 */
export function isForThisMachine(host: string | undefined, more: readonly string[]): boolean {
  const name = nameIn(host ?? '')
  if (name === '') return false
  // An address is no name that a web site controls: somebody typed it.
  if (isIP(name) !== 0 || name === 'localhost') return true
  const own = hostname().toLowerCase()
  return [own, `${own}.local`, ...more.map((one) => one.toLowerCase())].includes(name)
}

/** Without the port, the brackets of IPv6 and the dot that a name may end in. */
function nameIn(host: string): string {
  const [, v6, name = ''] = /^(?:\[([\da-f:.]+)\]|([^:[\]@/\s]+?)\.?)(?::\d*)?$/i.exec(host) ?? []
  return (v6 ?? name).toLowerCase()
}

/**
 * The names that `/etc/hosts` has for this machine, such as its full name: all names on a line with its host name. The
 * addresses don't count: `/etc/hosts` may list blocked web sites with 127.0.0.1, and under systemd's
 * RestrictAddressFamilies= a process can't learn the machine's other addresses.
 */
export function namesInHostsFile(own = hostname(), file = '/etc/hosts'): string[] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n')
    const entries = lines.map((line) => line.replace(/#.*/, '').trim().split(/\s+/).slice(1))
    return entries.filter((names) => names.includes(own)).flat()
  } catch {
    return []
  }
}
