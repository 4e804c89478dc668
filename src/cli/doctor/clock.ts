import { schemeOf } from '../../config/store-url.ts'
import { formatDuration } from '../../util/duration.ts'
import { NotStartedError, run } from '../../util/run-program.ts'
import { type Check, fail, ok, type Patient, skipped, warn } from './check.ts'

const NAME = 'clock'
const PATIENCE_MS = 10_000
/** S3 refuses requests if the clock is wrong by a quarter of an hour. */
const WRONG_MS = 5 * 60_000
const ODD_MS = 30_000

/** Is the clock right? It is compared with a destination's clock. If there is none, it is enough that NTP is on. */
export async function checkClock({ config }: Patient): Promise<Check[]> {
  for (const { name, to } of config.destinations) {
    const url = clockUrl(to)
    const offMs = url === undefined ? undefined : await offBy(url)
    if (offMs === undefined) continue
    const what = `${formatDuration(Math.abs(offMs))} ${offMs > 0 ? 'ahead of' : 'behind'} that of ${name}`
    const remedy = 'Set the clock, and have NTP keep it: timedatectl set-ntp true'
    if (Math.abs(offMs) >= WRONG_MS) return [fail(NAME, `${what}: signed requests are refused`, remedy)]
    if (Math.abs(offMs) >= ODD_MS) return [warn(NAME, what, remedy)]
    return [ok(NAME, `agrees with that of ${name}`)]
  }
  return [await keptByNtp()]
}

/** The URL of a destination that tells the time. */
function clockUrl(to: string): string | undefined {
  if (/^https?$/.test(schemeOf(to))) return to.replace(/[?#].*$/, '').replace(/^(https?:\/\/)[^/@]*@/, '$1')
  if (schemeOf(to) !== 's3') return undefined
  const parameters = new URLSearchParams(to.split('?')[1] ?? '')
  const endpoint = parameters.get('endpoint') ?? 's3.amazonaws.com'
  return /^https?:/.test(endpoint) ? endpoint : `${parameters.get('scheme') ?? 'https'}://${endpoint}`
}

/** How far our clock is ahead, in milliseconds; undefined if no destination tells the time. */
async function offBy(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(url, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    const theirs = Date.parse(response.headers.get('date') ?? '')
    return Number.isNaN(theirs) ? undefined : Date.now() - theirs
  } catch {
    return undefined
  }
}

async function keptByNtp(): Promise<Check> {
  const how = 'timedatectl set-ntp true'
  try {
    const { stdout } = await run('timedatectl', ['show', '--property=NTPSynchronized', '--value'])
    if (stdout.trim() === 'yes') return ok(NAME, 'kept by NTP')
    if (stdout.trim() === 'no') return warn(NAME, 'not synchronised (timedatectl: NTPSynchronized=no)', how)
  } catch (error) {
    if (!(error instanceof NotStartedError)) throw error
  }
  return skipped(
    NAME,
    'no destination tells the time, and there is no timedatectl',
    'Compare it by hand: date',
  )
}
