import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { replaceFile } from '../../util/replace-file.ts'
import type { Step } from '../init/step.ts'

/**
 * The text of a nix.conf without the lines that name our hook; other hooks stay.
 * @param installed Where `init` put it.
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

/** Takes the hook out of nix.conf, unless that is a link to what somebody else manages. */
export function hookLineRemoval(conf: string, installed: string): Step {
  const look = () => {
    const text = existsSync(conf) ? readFileSync(conf, 'utf8') : ''
    const rest = withoutHook(text, installed)
    return { rest, isNamed: rest !== text, isLink: rest !== text && lstatSync(conf).isSymbolicLink() }
  }
  const byHand = `${conf} is a link, so take post-build-hook out where it is made`
  return {
    preview: () => {
      const { isNamed, isLink } = look()
      if (isLink) return byHand
      return isNamed ? `would take post-build-hook out of ${conf}` : `${conf} doesn't name the hook`
    },
    perform: () => {
      const { rest, isNamed, isLink } = look()
      if (isLink) return Promise.resolve(byHand)
      if (!isNamed) return Promise.resolve(`${conf} doesn't name the hook`)
      const { mode, uid, gid } = lstatSync(conf)
      replaceFile(conf, rest, mode & 0o7777, { uid, gid })
      return Promise.resolve(`took post-build-hook out of ${conf}`)
    },
  }
}
