import { resolve } from 'node:path'
import type { Config } from '../../config/config.ts'
import { keyFilesIn } from '../../config/store-parameters.ts'
import { withoutPassword } from '../../config/store-url.ts'
import { EXIT, UserError } from '../../util/user-error.ts'
import type { InitOptions } from './init-options.ts'

/** The existing configuration, and the directories in flags or the environment. */
interface Present {
  configFile: string
  present: Config
  spool: string
  gcroots: string
}

/**
 * `init` keeps an existing configuration, so the options must agree with it.
 * @throws {UserError} if they don't, with what to do.
 */
export function refuseContradiction(
  args: InitOptions,
  { configFile, present, spool, gcroots }: Present,
): void {
  const all = present.destinations
  const isSigned = all.some(
    ({ to, secretKeyFile }) => secretKeyFile !== undefined || keyFilesIn(to).length > 0,
  )
  const key = args['secret-key-file'] === undefined ? undefined : resolve(args['secret-key-file'])
  const there = all.map(({ to }) => withoutPassword(to)).join(', ')
  const contradictions: (readonly [isSo: boolean, what: string])[] = [
    [
      args.to !== undefined && all.every(({ to }) => to !== args.to),
      `uploads go to ${there}, but --to is ${withoutPassword(args.to ?? '')}`,
    ],
    [
      key !== undefined && all.every(({ secretKeyFile }) => secretKeyFile !== key),
      `no destination has the key ${key}, as in --secret-key-file`,
    ],
    [args.sign === false && isSigned, 'uploads are signed, but --no-sign was given'],
    [args.sign === true && !isSigned, 'uploads are not signed, but --sign was given'],
    [spool !== present.spool, `the spool is ${present.spool}, but ${spool} was given`],
    [gcroots !== present.gcroots, `gcroots is "${present.gcroots}", but "${gcroots}" was given`],
  ]
  const [contradiction] = contradictions.filter(([isSo]) => isSo)
  if (!contradiction) return
  throw new UserError(
    `${configFile} exists and differs: ${contradiction[1]}. Nothing was changed. Edit that file ` +
      '(check it with nix-upload check-config) and run init without that option, or move it away and run init again',
    EXIT.usage,
  )
}
