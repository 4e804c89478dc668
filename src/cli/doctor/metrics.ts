import { mkdtempSync, rmdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { wordsOf } from '../../util/user-error.ts'
import { type Check, fail, ok, type Patient, quoted, toType } from './check.ts'

/** Can the service write the file that node_exporter reads? */
export function checkMetrics({ config, service }: Patient): Check[] {
  const { metricsFile } = config
  if (metricsFile === undefined) return []
  const name = 'metrics'
  const directory = dirname(metricsFile)
  const user = service.user.name
  try {
    rmdirSync(mkdtempSync(`${directory}/.nix-upload-doctor-`))
    return [ok(name, `${metricsFile} can be written`)]
  } catch (error) {
    const why = `Let ${user} write there, beside others`
    const lines = [
      `mkdir -p ${quoted(directory)}`,
      `chgrp ${user} ${quoted(directory)}`,
      `chmod g+w ${quoted(directory)}`,
    ]
    return [fail(name, `${user} can't write ${metricsFile}: ${wordsOf(error)}`, toType(why, ...lines))]
  }
}
