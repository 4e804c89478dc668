import { splitStorePath } from '../nix/store-path.ts'
import { isObject } from '../util/is-object.ts'
import { escapedJson, printable } from '../util/printable.ts'
import type { DeliveryRecord, DeliveryState, HistoryEntry, Job } from './job.ts'

/** A file that is not a valid job; the message says what is wrong with it. */
export class NotAJobError extends Error {
  override name = 'NotAJobError'
}

/** A larger file is no job: a thousand outputs fit into a tenth of this. */
export const MAX_JOB_BYTES = 1 << 20
/** Nor is a file that is nested more deeply: with indentation, a few KB of brackets would grow to many MB. */
const MAX_DEPTH = 64
const MAX_HISTORY = 20
/** A job of the largest size is still read after the daemon has added to it. */
export const MAX_FILE_BYTES = MAX_JOB_BYTES + (64 << 10)
/** Errors and notes are cut to this many characters if the file would get too large. */
const SHORT_TEXT = 500
const STATES: ReadonlySet<unknown> = new Set<DeliveryState>(['waiting', 'done', 'skipped', 'failed'])

/**
 * Reads a job file's content.
 * @param storeDir Every path must lie directly in it.
 * @throws {NotAJobError} for anything that is not a valid job, saying why.
 */
export function parseJob(bytes: Buffer, storeDir: string): Job {
  if (bytes.length === 0) throw new NotAJobError('the file is empty')
  const raw = parseObject(bytes)
  if (raw.version !== undefined && raw.version !== 1) {
    throw new NotAJobError(`"version" is ${show(raw.version)}; this nix-upload knows version 1`)
  }
  const job: Job = { outPaths: outPathsOf(raw, storeDir), destinations: {}, history: [], raw }
  const drvPath = raw.drvPath
  if (drvPath !== undefined && drvPath !== null && drvPath !== '') {
    job.drvPath = checkStorePath(drvPath, '"drvPath"', storeDir)
    if (!job.drvPath.endsWith('.drv')) throw new NotAJobError(`"drvPath" is no derivation: ${show(drvPath)}`)
  }
  if (job.outPaths.length === 0 && job.drvPath === undefined) {
    throw new NotAJobError('it names neither "outPaths" nor "drvPath", so there is nothing to upload')
  }
  if (typeof raw.queuedAt === 'string' && !Number.isNaN(Date.parse(raw.queuedAt))) {
    job.queuedAt = raw.queuedAt
  }
  job.destinations = recordsOf(raw.destinations)
  job.history = historyOf(raw.history)
  return job
}

/** @param size In bytes. */
export function tooLarge(size: number): NotAJobError {
  return new NotAJobError(`it is ${size} bytes long; a job has at most ${MAX_JOB_BYTES}`)
}

/**
 * The job as text for its file: indented, for people; unknown keys kept, ours in a fixed order. If the text would be too
 * large to be read again, parts are left out: first the indentation, then the oldest history, then the ends of errors.
 */
export function formatJob(job: Job): string {
  for (let rounds = MAX_HISTORY; ; rounds = Math.floor(rounds / 2)) {
    const content = contentOf(job, rounds)
    for (const indent of [2, 0]) {
      const text = `${escapedJson(JSON.stringify(content, null, indent))}\n`
      if (Buffer.byteLength(text) <= MAX_JOB_BYTES) return text
    }
    if (rounds === 0) return `${escapedJson(JSON.stringify(contentOf(shortened(job), 0)))}\n`
  }
}

function shortened(job: Job): Job {
  const records = Object.entries(job.destinations).map(([name, record]): [string, DeliveryRecord] => {
    const { error, note, ...rest } = record
    const short = (text: string) => (text.length > SHORT_TEXT ? `${text.slice(0, SHORT_TEXT)}…` : text)
    const texts = {
      ...(error === undefined ? {} : { error: short(error) }),
      ...(note === undefined ? {} : { note: short(note) }),
    }
    return [name, { ...rest, ...texts }]
  })
  return { ...job, destinations: Object.fromEntries(records) }
}

function contentOf(job: Job, rounds: number): object {
  const { destinations: _, history: __, ...rest } = job.raw
  const history = rounds === 0 ? [] : job.history.slice(-rounds)
  return {
    ...rest,
    ...(job.drvPath === undefined ? {} : { drvPath: job.drvPath }),
    outPaths: job.outPaths,
    destinations: job.destinations,
    ...(history.length > 0 ? { history } : {}),
  }
}

function parseObject(bytes: Buffer): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof RangeError) throw new NotAJobError('it is nested too deeply')
    if (error instanceof SyntaxError) throw new NotAJobError(`it is not JSON: ${printable(error.message)}`)
    throw new NotAJobError('it is not UTF-8 text')
  }
  if (isDeeper(value, MAX_DEPTH)) throw new NotAJobError('it is nested too deeply')
  if (!isObject(value)) throw new NotAJobError(`it should be a JSON object, and is ${show(value)}`)
  return value
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1))
}

function outPathsOf(raw: Record<string, unknown>, storeDir: string): string[] {
  const value = raw.outPaths ?? []
  if (!Array.isArray(value)) {
    throw new NotAJobError(`"outPaths" should be an array of store paths, and is ${show(value)}`)
  }
  const paths = value.map((path, index) => checkStorePath(path, `"outPaths"[${index}]`, storeDir))
  return [...new Set(paths)]
}

function checkStorePath(value: unknown, key: string, storeDir: string): string {
  if (typeof value === 'string' && splitStorePath(value, storeDir)) return value
  throw new NotAJobError(`${key} should be a store path in ${storeDir}, and is ${show(value)}`)
}

function recordsOf(value: unknown): Record<string, DeliveryRecord> {
  if (!isObject(value)) return {}
  const entries = Object.entries(value).flatMap(([name, record]): [string, DeliveryRecord][] => {
    const checked = recordOf(record)
    return checked ? [[name, checked]] : []
  })
  return Object.fromEntries(entries)
}

/** A record that makes no sense was not written by us; the delivery just starts over. */
function recordOf(value: unknown): DeliveryRecord | undefined {
  if (!isObject(value) || !isDeliveryState(value.state)) return undefined
  const attempts = Number.isSafeInteger(value.attempts) ? Math.max(0, Number(value.attempts)) : 0
  const record: DeliveryRecord = { state: value.state, attempts }
  for (const key of ['lastAttemptAt', 'settledAt', 'error', 'note', 'to'] as const) {
    const text = value[key]
    if (typeof text === 'string') record[key] = text
  }
  return record
}

function historyOf(value: unknown): HistoryEntry[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((entry: unknown) =>
    isObject(entry) && typeof entry.requeuedAt === 'string'
      ? [{ requeuedAt: entry.requeuedAt, destinations: recordsOf(entry.destinations) }]
      : [],
  )
}

function isDeliveryState(value: unknown): value is DeliveryState {
  return STATES.has(value)
}

/** A value in a message: as JSON, which also escapes control characters, and cut when long. */
function show(value: unknown): string {
  const text = printable(JSON.stringify(value) ?? String(value))
  return text.length > 120 ? `${text.slice(0, 117)}…` : text
}
