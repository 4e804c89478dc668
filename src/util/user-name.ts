import { userInfo } from 'node:os'

/** What this process's user is called; the number where the user has no name, as in a container. */
export function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `${process.geteuid?.() ?? 'this user'}`
  }
}
