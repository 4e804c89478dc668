/** The known word that was probably meant: the nearest one, if at most two letters differ, and not all of them. */
export function nearest(unknown: string, known: readonly string[]): string | undefined {
  const folded = unknown.toLowerCase().replaceAll('_', '-')
  const all = known.map((word) => ({ word, edits: distance(word, folded) }))
  const [first] = all
    .filter(({ edits }) => edits <= 2 && edits < folded.length)
    .sort((a, b) => a.edits - b.edits)
  return first?.word
}

/** Levenshtein's edit distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries()) {
      const substitute = (row[j] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min((row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1, substitute))
    }
    row = next
  }
  return row[b.length] ?? 0
}
