/** A user name and a password. */
export interface Login {
  user: string
  password: string
}

interface Entry extends Login {
  /** None: the default entry. */
  machine?: string
}

/**
 * Looks a host up in the text of a netrc file, as curl and so Nix do: the first entry for it that has the wanted user
 * name, or the default entry.
 * @param host As in a URL; curl looks an IPv6 address up without its brackets.
 * @param user Only this one's, if given.
 * @param takesDefault Whether the default entry counts.
 */
export function findLogin(
  netrc: string,
  host: string,
  user?: string,
  takesDefault = true,
): Login | undefined {
  const machine = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  const found = entriesOf(netrc).find(
    (entry) =>
      (entry.machine === undefined ? takesDefault : entry.machine.toLowerCase() === machine) &&
      (user === undefined || entry.user === '' || entry.user === user),
  )
  return found && { user: user ?? found.user, password: found.password }
}

function entriesOf(netrc: string): Entry[] {
  const entries: Entry[] = []
  const words = wordsOf(netrc)
  for (let at = 0; at < words.length; at++) {
    // curl and Nix take them in any case.
    const word = words[at]?.toLowerCase()
    const value = words[at + 1] ?? ''
    const current = entries.at(-1)
    if (word === 'default') {
      entries.push({ user: '', password: '' })
      continue
    }
    if (word === 'machine') entries.push({ machine: value, user: '', password: '' })
    else if (word === 'login' && current) current.user = value
    else if (word === 'password' && current) current.password = value
    else if (word !== 'account') continue
    at++
  }
  return entries
}

/**
 * Words between ASCII blanks, or in double quotes with backslashes; without macros and lines that are comments. Elsewhere `#` begins a
 * word, so a password may begin with it: curl 7 took the rest of the line for a comment, curl 8.14 and 8.23 don't.
 */
function wordsOf(netrc: string): string[] {
  // A macro ends at an empty line.
  const text = `${netrc}\n\n`
    .replaceAll(/^[ \t]*macdef\b.*?\n[ \t]*\n/gms, '')
    .replaceAll(/^[ \t]*#.*$/gm, '')
  return [...text.matchAll(/"((?:\\.|[^"\\])*)"|[^ \t\r\n]+/gs)].map(([word, quoted]) =>
    quoted === undefined ? word : unquoted(quoted),
  )
}

function unquoted(text: string): string {
  const letters: Record<string, string> = { n: '\n', r: '\r', t: '\t' }
  return text.replaceAll(/\\(.)/gs, (_, letter: string) => letters[letter] ?? letter)
}
