import { resolve } from 'node:path'
import type { Config } from '../../config/config.ts'
import { keyFilesIn } from '../../config/store-parameters.ts'
import { withoutPassword } from '../../config/store-url.ts'
import { EXIT, UserError } from '../../util/user-error.ts'
import type { InitOptions } from './init-options.ts'

/** What is there, and what init was told of directories, by flags or by the environment. */
interface Present {
  configFile: string
  present: Config
  spool: string
  gcroots: string
}

/**
 * `init` keeps a configuration that is there, so what the command line says has to be in it already.
 * @throws {UserError} if it isn't, with what to do.
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
      `uploads go to ${there}, and --to says ${withoutPassword(args.to ?? '')}`,
    ],
    [
      key !== undefined && all.every(({ secretKeyFile }) => secretKeyFile !== key),
      `no destination is signed for with ${key}, which --secret-key-file says`,
    ],
    [args.sign === false && isSigned, 'uploads are signed, and --no-sign says that they are not'],
    [args.sign === true && !isSigned, 'uploads are not signed, and --sign says that they are'],
    [spool !== present.spool, `the spool is ${present.spool}, and init was told ${spool}`],
    [gcroots !== present.gcroots, `gcroots is "${present.gcroots}", and init was told "${gcroots}"`],
  ]
  const [contradiction] = contradictions.filter(([isSo]) => isSo)
  if (!contradiction) return
  throw new UserError(
    `${configFile} is there already, and says otherwise: ${contradiction[1]}. Nothing was changed. Edit that file ` +
      '(nix-upload check-config looks at it) and run init without that, or move it away and run init again',
    EXIT.usage,
  )
}
