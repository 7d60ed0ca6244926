/** The small pictures of the table. Their figures stand beside them, so that they are hidden from screen readers. */

import { h } from './markup.js';

/**
 * @param {readonly number[]} values
 * @param {number} [width]
 */
export function spark(values, width = 64) {
  const height = 20;
  const most = Math.max(...values, 1e-9);
  const x = (/** @type {number} */ at) => 1 + (at / Math.max(1, values.length - 1)) * (width - 5);
  const y = (/** @type {number} */ value) => height - 3 - (value / most) * (height - 6);
  const points = values.map((value, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  return h`<svg class="c1" width="${width}" height="${height}" aria-hidden="true"><polyline class="line thin" points="${points}"/><circle class="dot" cx="${x(values.length - 1)}" cy="${y(values.at(-1) ?? 0)}" r="2"/></svg>`;
}

const RANGE = 118;
const DECADES = [1, 10, 100, 1000];

/** @param {number} value in milliseconds */
function logX(value) {
  return 5 + (Math.max(0, Math.min(3, Math.log10(Math.max(value, 1)))) / 3) * (RANGE - 10);
}

/** The axis over a column of ranges. */
export function rangeScale() {
  return h`<svg width="${RANGE}" height="13" aria-hidden="true">${DECADES.map((value, at) => h`<text x="${logX(value)}" y="11" text-anchor="${at === 0 ? 'start' : at === 3 ? 'end' : 'middle'}">${at === 3 ? '1 s' : value}</text>`)}</svg>`;
}

/** @param {{ readonly p50: number, readonly p99: number } | null | undefined} latency */
export function range(latency) {
  const grid = DECADES.map((value) => h`<line class="axis" x1="${logX(value)}" x2="${logX(value)}" y1="3" y2="19"/>`);
  if (latency === null || latency === undefined)
    return h`<svg class="c1" width="${RANGE}" height="22" aria-hidden="true">${grid}</svg>`;
  const [from, to] = [logX(latency.p50), logX(latency.p99)];
  return h`<svg class="c1" width="${RANGE}" height="22" aria-hidden="true">${grid}<line class="spread" x1="${from}" x2="${to}" y1="11" y2="11"/><circle class="dot" cx="${from}" cy="11" r="3.6"/><line class="line" x1="${to}" x2="${to}" y1="7" y2="15"/></svg>`;
}

/**
 * The shares of batch sizes, 0 to 1: 1, 2, 4, … 64, and more.
 * @param {readonly (readonly [rows: number, batches: number])[]} sizes
 */
export function sizeShares(sizes) {
  const all = sizes.reduce((sum, [, batches]) => sum + batches, 0) || 1;
  const largest = Math.max(64, ...sizes.map(([rows]) => rows));
  const steps = Array.from({ length: Math.log2(largest) + 1 }, (_, power) => 2 ** power);
  return steps.map((rows) => ({ rows, share: (sizes.find(([size]) => size === rows)?.[1] ?? 0) / all }));
}

/** @param {readonly (readonly [rows: number, batches: number])[]} sizes */
export function sizeBars(sizes) {
  const shares = sizeShares(sizes);
  const width = 62 / shares.length;
  const bars = shares.map(({ share }, at) => {
    // The root, so that rare sizes are seen.
    const height = Math.max(1.5, Math.sqrt(share) * 19);
    return (
      share > 0 && h`<rect class="bar" x="${at * width}" y="${21 - height}" width="${width - 2}" height="${height}"/>`
    );
  });
  return h`<svg class="c1" width="62" height="22" aria-hidden="true"><line class="axis" x1="0" x2="62" y1="21.5" y2="21.5"/>${bars}</svg>`;
}
