/** Parameters of binary caches' URLs that are true or false. */
const FLAGS = [
  'index-debug-info',
  'multipart-upload',
  'parallel-compression',
  'trusted',
  'want-mass-query',
  'write-nar-listing',
] as const

export type StoreFlag = (typeof FLAGS)[number]

/** The words that Nix takes (nix: src/libutil/configuration.cc). */
const WORDS = new Map([
  ['true', true],
  ['yes', true],
  ['1', true],
  ['false', false],
  ['no', false],
  ['0', false],
])

/** What a word means to Nix; undefined if it is neither true nor false. */
export function truthOf(word: string): boolean | undefined {
  return WORDS.get(word)
}

/** Whether a parameter of a store URL is on; undefined if it isn't given. */
export function flagOf(parameters: URLSearchParams, name: StoreFlag): boolean | undefined {
  return truthOf(parameters.get(name) ?? '')
}

/** Names a parameter that should be true or false and is neither; undefined if there is none. */
export function flagProblem(parameters: URLSearchParams): string | undefined {
  const wrong = FLAGS.find((name) => parameters.has(name) && flagOf(parameters, name) === undefined)
  return wrong && `expected ${wrong}=true or ${wrong}=false, got ${wrong}=${parameters.get(wrong)}`
}
