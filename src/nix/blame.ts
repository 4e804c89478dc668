/** Whose failure it is: the job's own, the destination's (and so every job's), or not to be told. */
export type Blame = 'job' | 'destination' | 'unknown'

/** What an error of Nix means. */
export interface Verdict {
  blame: Blame
  /** No use in trying again: it will not get better by itself. Only ever true of a job's own failure. */
  permanent: boolean
  /** What is wrong and what to do, in words, with Nix's own words behind. */
  message: string
  /** The store path Nix complains of, if it names one. */
  path?: string
}

interface Rule {
  pattern: RegExp
  blame: Blame
  permanent?: true
  means: string
}

/**
 * Nix exits with 1 whatever happens; only the text tells failures apart. The first rule that matches decides.
 * Behind each: the versions of Nix that were seen to say it.
 */
const RULES: readonly Rule[] = [
  {
    // 2.8.0, 2.26.3, 2.34.8
    pattern: /path '([^']+)' is required, but there is no substituter that can build it/,
    blame: 'job',
    permanent: true,
    means: 'the path is not in the store any more',
  },
  {
    // 2.8.0, 2.26.3, 2.34.8
    pattern: /path '([^']+)' is not valid/,
    blame: 'job',
    permanent: true,
    means: 'the path is not in the store any more',
  },
  {
    // 2.26.3, 2.34.8: what curl says; 2.8.0 has the first form
    pattern: /Couldn't connect to server|Could not connect to server|Connection refused/,
    blame: 'destination',
    means: 'the destination does not accept connections',
  },
  {
    pattern:
      /Couldn't resolve host|Could not resolve host|Name or service not known|Temporary failure in name resolution/,
    blame: 'destination',
    means: "the destination's host name can't be resolved",
  },
  {
    pattern: /failed to start SSH connection|cannot connect to '.*'/,
    blame: 'destination',
    means: 'the ssh connection to the destination failed',
  },
  {
    pattern: /HTTP error 40[13]\b/,
    blame: 'destination',
    means: 'the destination refuses our credentials',
  },
  {
    pattern: /HTTP error 404\b/,
    blame: 'destination',
    means: 'the destination is not there (wrong URL or bucket?)',
  },
  {
    pattern: /HTTP error 413\b/,
    blame: 'job',
    permanent: true,
    means: 'the destination refuses a file of this size',
  },
  {
    pattern: /HTTP error (5\d\d|429)\b/,
    blame: 'destination',
    means: 'the destination has trouble of its own',
  },
  {
    pattern: /No space left on device|Disk quota exceeded/,
    blame: 'destination',
    means: 'the disk is full',
  },
  {
    pattern: /Read-only file system/,
    blame: 'destination',
    means: 'the destination is read-only',
  },
  {
    pattern: /Permission denied/,
    blame: 'destination',
    means: 'permission denied',
  },
  {
    pattern: /[Tt]imed? ?out|Timeout was reached/,
    blame: 'destination',
    means: 'the destination did not answer in time',
  },
]

/**
 * Tells whose fault a failed run of Nix was.
 * @param messages What Nix said, one line each.
 */
export function judge(messages: readonly string[]): Verdict {
  const said = messages.slice(-3).join('; ') || 'it said nothing'
  for (const { pattern, blame, permanent, means } of RULES) {
    const match = messages.map((message) => pattern.exec(message)).find((found) => found !== null)
    if (!match) continue
    const path = match[1]?.startsWith('/') ? { path: match[1] } : {}
    return { blame, permanent: permanent ?? false, message: `${means}; Nix says: ${said}`, ...path }
  }
  return { blame: 'unknown', permanent: false, message: `Nix failed: ${said}` }
}
