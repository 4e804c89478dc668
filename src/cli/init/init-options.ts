import type { CommonOptions } from '../options.ts'

/** The options of `init`. */
export type InitOptions = CommonOptions & {
  to: string | undefined
  sign: boolean | undefined
  'key-name': string | undefined
  'secret-key-file': string | undefined
  user: string | undefined
  install: boolean | undefined
  root: string | undefined
  'dry-run': boolean
  yes: boolean
}
