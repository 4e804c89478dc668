import { closeSync, lstatSync, openSync, readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { STATES } from '../../spool/layout.ts'
import { formatSize } from '../../util/size.ts'
import { type Check, fail, ok, type Patient, quoted, skipped, toType, warn } from './check.ts'

/** The room for a queue of about a day; a job takes one block. */
const LOW = { bytes: 100e6, inodes: 10_000 }
const TOO_LOW = { bytes: 10e6, inodes: 100 }
/** statfs(2) */
const TMPFS = 0x01021994

/** The spool's directories: do they exist, belong to the service, lie on one filesystem, and have room? */
export function checkSpool({ spool, service }: Patient): Check[] {
  const { name: user, uid } = service.user
  const directories = (['tmp', ...STATES] as const).map((state) => spool[state])
  const remedy = toType(
    'As root',
    `install -d -o ${user} ${[spool.root, ...directories].map(quoted).join(' ')}`,
  )
  const missing = directories.find((path) => !lstatSync(path, { throwIfNoEntry: false })?.isDirectory())
  if (missing !== undefined) {
    const isLink = lstatSync(missing, { throwIfNoEntry: false }) !== undefined
    const what = isLink ? `${missing} is not a directory` : `there is no ${missing}, so the hook can't queue`
    return [fail('spool', what, isLink ? `Move it away. ${remedy}` : remedy)]
  }
  const foreign = directories.find((path) => uid !== 0 && lstatSync(path).uid !== uid)
  const owners =
    foreign === undefined
      ? ok('spool', `${spool.root}, which belongs to ${user} (${service.how})`)
      : fail(
          'spool',
          `${foreign} belongs to user number ${lstatSync(foreign).uid}, so ${user} (${service.how}) can't move jobs in it`,
          toType('As root', `chown -R ${user} ${quoted(spool.root)}`),
        )
  return [owners, oneFilesystem(spool.root, directories), room(spool.root)]
}

function oneFilesystem(root: string, directories: readonly string[]): Check {
  const name = 'filesystem'
  const [first = root, ...rest] = directories
  const other = rest.find((path) => mountOf(path) !== mountOf(first))
  if (other === undefined) return ok(name, 'all directories are on one filesystem')
  const what = `${other} and ${first} are on different filesystems or mounts, so the hook refuses to queue`
  return fail(name, what, `Make all of ${root} one mount`)
}

/** Device numbers alone don't reveal a bind mount. */
function mountOf(path: string): string {
  const { dev } = lstatSync(path)
  const fd = openSync(path, 'r')
  try {
    const [, mount = ''] = /^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? []
    return `${dev} ${mount}`
  } catch {
    return `${dev}`
  } finally {
    closeSync(fd)
  }
}

function room(root: string): Check {
  const name = 'room'
  const { type, bavail, bsize, files, ffree } = statfsSync(root)
  const bytes = bavail * bsize
  // Some filesystems don't count inodes.
  const inodes = files === 0 ? Number.POSITIVE_INFINITY : ffree
  const left = `${formatSize(bytes)} and ${files === 0 ? 'any number of' : ffree} inodes free in ${root}`
  if (bytes < TOO_LOW.bytes || inodes < TOO_LOW.inodes) {
    return fail(name, `only ${left}: the hook will not be able to queue`, 'Make room on that filesystem')
  }
  if (bytes < LOW.bytes || inodes < LOW.inodes) {
    return warn(name, `only ${left}`, 'Make room on that filesystem')
  }
  if (type === TMPFS) {
    const remedy = 'Put the spool on a disk, unless waiting jobs may be lost'
    return warn(name, `${left}, which is in memory: a power cut loses the waiting jobs`, remedy)
  }
  return ok(name, left)
}

/** The directory that protects the paths of queued jobs from garbage collection. */
export function checkRoots({ config, service }: Patient): Check[] {
  const name = 'GC roots'
  const { gcroots } = config
  if (gcroots === '') {
    const what = 'turned off: paths of waiting jobs may be garbage-collected'
    return [skipped(name, what, 'Remove gcroots from the configuration to turn them on')]
  }
  const { name: user, uid } = service.user
  const remedy = toType('As root', `install -d -o ${user} ${quoted(gcroots)}`)
  const stats = lstatSync(gcroots, { throwIfNoEntry: false })
  if (!stats)
    return [fail(name, `there is no ${gcroots}: paths of waiting jobs may be garbage-collected`, remedy)]
  if (!stats.isDirectory()) {
    return [
      fail(
        name,
        `${gcroots} is not a directory, and Nix does not follow a symlink there`,
        `Move it away. ${remedy}`,
      ),
    ]
  }
  const nixRoots = join(process.env.NIX_STATE_DIR ?? '/nix/var/nix', 'gcroots')
  if (!gcroots.startsWith(`${nixRoots}/`)) {
    const what = `${gcroots} is not below ${nixRoots}, where Nix looks for roots`
    return [
      fail(name, what, `Set gcroots to a directory below ${nixRoots}, for the hook too (NIX_UPLOAD_GCROOTS)`),
    ]
  }
  if (uid !== 0 && stats.uid !== uid) {
    const what = `${gcroots} belongs to user number ${stats.uid}, so ${user} can't remove roots from it`
    return [fail(name, what, toType('As root', `chown -R --no-dereference ${user} ${quoted(gcroots)}`))]
  }
  return [ok(name, gcroots)]
}
