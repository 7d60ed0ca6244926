/** Plots as inline SVG: lines over a numeric axis, or groups of bars. No scripts, no fonts, no files beside it. */

export interface Series {
  readonly name: string;
  readonly values: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
  /** Lines join the values of a series; dots are separate. */
  readonly kind: 'lines' | 'dots';
  /** Texts for x = 0, 1, 2, …, where the axis is no scale of numbers. */
  readonly labels?: readonly string[];
}

const WIDTH = 680;
const HEIGHT = 260;
const LEFT = 56;
const RIGHT = 150;
const TOP = 12;
const BOTTOM = 40;
const COLOURS = ['#2563eb', '#dc2626', '#d97706', '#059669', '#7c3aed', '#6b7280', '#0891b2', '#be185d'];

export function drawChart({ x, y, series, kind, labels }: Chart): string {
  const points = series.flatMap(({ values }) => values).filter((point) => point.every(Number.isFinite));
  const xs = labels?.map((_, index) => index) ?? ticksOf(points.map(([value]) => value));
  const ys = ticksOf(points.map(([, value]) => value));
  const left = (value: number): number => LEFT + share(value, xs) * (WIDTH - LEFT - RIGHT);
  const top = (value: number): number => HEIGHT - BOTTOM - share(value, ys) * (HEIGHT - TOP - BOTTOM);
  const parts = [
    ...xs.map(
      (tick) =>
        `<line x1="${left(tick)}" x2="${left(tick)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" class="grid"/>` +
        `<text x="${left(tick)}" y="${HEIGHT - BOTTOM + 14}" text-anchor="middle">${escapeHtml(labels?.[tick] ?? labelOf(tick))}</text>`,
    ),
    ...ys.map(
      (tick) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${top(tick)}" y2="${top(tick)}" class="grid"/>` +
        `<text x="${LEFT - 6}" y="${top(tick) + 4}" text-anchor="end">${labelOf(tick)}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeHtml(x)}</text>`,
    `<text transform="translate(12 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(y)}</text>`,
  ];
  for (const [index, { name, values }] of series.entries()) {
    const colour = COLOURS[index % COLOURS.length] ?? 'black';
    const drawn = values
      .filter((point) => point.every(Number.isFinite))
      .map((point) => [left(point[0]), top(point[1])] as const);
    if (kind === 'lines') {
      const path = drawn.map(([px, py]) => `${round(px)},${round(py)}`).join(' ');
      parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`);
    }
    for (const [px, py] of drawn) parts.push(`<circle cx="${round(px)}" cy="${round(py)}" r="2.5" fill="${colour}"/>`);
    const at = TOP + 10 + index * 16;
    parts.push(
      `<circle cx="${WIDTH - RIGHT + 14}" cy="${at - 4}" r="4" fill="${colour}"/>`,
      `<text x="${WIDTH - RIGHT + 24}" y="${at}">${escapeHtml(name)}</text>`,
    );
  }
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">${parts.join('')}</svg>`;
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** About five round values that span all. */
function ticksOf(values: readonly number[]): number[] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const rough = (high - low || Math.abs(high) || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step));
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

function share(value: number, ticks: readonly number[]): number {
  const low = ticks[0] ?? 0;
  const high = ticks.at(-1) ?? 1;
  return high === low ? 0.5 : (value - low) / (high - low);
}

function labelOf(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
