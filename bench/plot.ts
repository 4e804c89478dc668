// A line plot with logarithmic axes, as SVG that reads well on a light and on a dark page.

export interface Line {
  label: string
  colour: string
  points: readonly { x: number; y: number }[]
}

const [WIDTH, HEIGHT] = [720, 360]
const MARGIN = { left: 70, right: 170, top: 40, bottom: 50 }
const [INNER_WIDTH, INNER_HEIGHT] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom]

/** @returns The text of an SVG file. Points without a positive value are left out: a logarithm has none for them. */
export function logPlot(title: string, xLabel: string, yLabel: string, lines: readonly Line[]): string {
  const points = lines.flatMap((line) => line.points).filter(({ x, y }) => x > 0 && y > 0)
  const xs = decades(points.map(({ x }) => x))
  const ys = decades(points.map(({ y }) => y))
  const xAt = (x: number) => MARGIN.left + share(x, xs) * INNER_WIDTH
  const yAt = (y: number) => MARGIN.top + (1 - share(y, ys)) * INNER_HEIGHT
  const grid = [
    ...xs.map((x) => gridLine(xAt(x), MARGIN.top, xAt(x), HEIGHT - MARGIN.bottom)),
    ...ys.map((y) => gridLine(MARGIN.left, yAt(y), WIDTH - MARGIN.right, yAt(y))),
    ...xs.map((x) => text(xAt(x), HEIGHT - MARGIN.bottom + 18, 'middle', short(x))),
    ...ys.map((y) => text(MARGIN.left - 8, yAt(y) + 4, 'end', short(y))),
  ]
  const drawn = lines.map(({ label, colour, points }, at) => {
    const path = points.map(({ x, y }) => `${xAt(x).toFixed(1)},${yAt(y).toFixed(1)}`).join(' ')
    const key = MARGIN.top + 10 + at * 20
    return [
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...points.map(
        ({ x, y }) =>
          `<circle cx="${xAt(x).toFixed(1)}" cy="${yAt(y).toFixed(1)}" r="3.5" fill="${colour}"/>`,
      ),
      `<rect x="${WIDTH - MARGIN.right + 12}" y="${key - 9}" width="10" height="10" fill="${colour}"/>`,
      text(WIDTH - MARGIN.right + 28, key, 'start', label),
    ].join('\n')
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${title}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(MARGIN.left, 22, 'start', title, 'font-size="14" font-weight="bold"'),
    ...grid,
    text(MARGIN.left + INNER_WIDTH / 2, HEIGHT - 10, 'middle', xLabel),
    text(14, MARGIN.top - 10, 'start', yLabel),
    ...drawn,
    '</svg>',
    '',
  ].join('\n')
}

/** The powers of ten around some values. */
function decades(values: readonly number[]): number[] {
  const least = Math.floor(Math.log10(Math.min(...values)))
  const most = Math.ceil(Math.log10(Math.max(...values)))
  return Array.from({ length: Math.max(1, most - least) + 1 }, (_, at) => 10 ** (least + at))
}

function share(value: number, axis: readonly number[]): number {
  const [least = 1, most = 10] = [axis[0], axis.at(-1)]
  return (Math.log10(value) - Math.log10(least)) / (Math.log10(most) - Math.log10(least))
}

function gridLine(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="#ddd"/>`
}

function text(x: number, y: number, anchor: string, content: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="#222" ${more}>${content}</text>`
}

function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`
  return value >= 1e3 ? `${value / 1e3} k` : `${value}`
}
