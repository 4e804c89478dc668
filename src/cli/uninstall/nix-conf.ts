import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { replaceFile } from '../../util/replace-file.ts'
import type { Step } from '../init/step.ts'

/**
 * Removes the lines that name our hook from the text of a nix.conf; other hooks stay.
 * @param installed The hook that `init` installed.
 */
export function withoutHook(text: string, installed: string): string {
  const isOurs = (line: string) => {
    const [, hook] = /^\s*post-build-hook\s*=\s*([^\s#]+)/.exec(line) ?? []
    return hook === installed || (hook !== undefined && basename(hook) === 'nix-upload-hook')
  }
  return text
    .split('\n')
    .filter((line) => !isOurs(line))
    .join('\n')
}

/** Removes the hook from nix.conf, unless that is a link to a file that others manage. */
export function hookLineRemoval(conf: string, installed: string): Step {
  const look = () => {
    const text = existsSync(conf) ? readFileSync(conf, 'utf8') : ''
    const rest = withoutHook(text, installed)
    return { rest, isNamed: rest !== text, isLink: rest !== text && lstatSync(conf).isSymbolicLink() }
  }
  const byHand = `${conf} is a link, so remove post-build-hook from its source`
  return {
    preview: () => {
      const { isNamed, isLink } = look()
      if (isLink) return byHand
      return isNamed ? `would remove post-build-hook from ${conf}` : `${conf} doesn't name the hook`
    },
    perform: () => {
      const { rest, isNamed, isLink } = look()
      if (isLink) return Promise.resolve(byHand)
      if (!isNamed) return Promise.resolve(`${conf} doesn't name the hook`)
      const { mode, uid, gid } = lstatSync(conf)
      replaceFile(conf, rest, mode & 0o7777, { uid, gid })
      return Promise.resolve(`removed post-build-hook from ${conf}`)
    },
  }
}
