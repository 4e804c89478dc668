/** What `ProtectHome=` of a unit hides. */
export const HOMES: readonly string[] = ['/home', '/root', '/run/user']
/** What `PrivateTmp=` hides. */
export const TEMPORARY: readonly string[] = ['/tmp', '/var/tmp']

/** Whether a path is one of some directories, or in one. */
export function isBelow(path: string, directories: readonly string[]): boolean {
  return directories.some((directory) => path === directory || path.startsWith(`${directory}/`))
}

/**
 * What a unit takes to see paths that `ProtectHome=` and `PrivateTmp=` hide. `ReadWritePaths=` alone is of no use there.
 * @param written Those that it also writes to.
 * @returns Lines for the unit's [Service].
 */
export function showing(written: readonly string[], read: readonly string[]): string[] {
  return [
    ...([...written, ...read].some((path) => isBelow(path, HOMES)) ? ['ProtectHome=tmpfs'] : []),
    ...written.map((path) => `BindPaths=-${path}`),
    ...read.map((path) => `BindReadOnlyPaths=-${path}`),
  ]
}
