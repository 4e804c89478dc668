/** The directory of a cache that lies on this machine, without its escapes; undefined for any other. */
export function localDirectory(to: string): string | undefined {
  const [, path] = /^file:\/\/(\/[^?#]*)/.exec(to) ?? []
  return path?.replaceAll(/(?:%[0-9a-f]{2})+/gi, (escaped) =>
    Buffer.from(escaped.replaceAll('%', ''), 'hex').toString(),
  )
}
