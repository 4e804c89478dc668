import { userInfo } from 'node:os'

/** The name of this process's user, or the number of a user without a name, as in a container. */
export function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `${process.geteuid?.() ?? 'this user'}`
  }
}
