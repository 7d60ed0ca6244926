/** Three charts over one time: requests, latencies, waiting. One crosshair goes through all of them. */

/** @import { ModelSnapshot, PointSnapshot, ServerSnapshot, VersionSnapshot } from '../snapshot.ts' */

import { seriesOf } from './document.js';
import { clock, count, ms, rate } from './figures.js';
import { h } from './markup.js';

const W = 300;
const H = 132;
const LEFT = 40;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 22;

/** @typedef {{ readonly name: string, readonly tone: string, readonly values: readonly (number | null)[], readonly filled?: boolean }} Line */

/**
 * The place of a point along the axis of time.
 * @param {number} at
 * @param {number} points
 */
export function placeOf(at, points) {
  return LEFT + (at / Math.max(1, points - 1)) * (W - LEFT - RIGHT);
}

/**
 * The point under a place of a chart, 0 to 1 of its width.
 * @param {number} part
 * @param {number} points
 */
export function pointAt(part, points) {
  const at = Math.round(((part * W - LEFT) / (W - LEFT - RIGHT)) * (points - 1));
  return Math.max(0, Math.min(points - 1, at));
}

/** @param {number} value */
function niceMaximum(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return ([1, 2, 4, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

/**
 * @param {string} title
 * @param {readonly Line[]} lines
 * @param {{ readonly from: number, readonly to: number, readonly events: readonly number[], readonly format: (value: number) => string, readonly label: string }} options
 */
function chart(title, lines, { from, to, events, format, label }) {
  const most = niceMaximum(Math.max(1, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const points = lines[0]?.values.length ?? 0;
  const y = (/** @type {number} */ value) => H - BOTTOM - (Math.min(value, most) / most) * (H - TOP - BOTTOM);
  const grid = [0, most / 2, most].map(
    (value) =>
      h`<line class="${value === 0 ? 'axis' : 'grid'}" x1="${LEFT}" x2="${W - RIGHT}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 6}" y="${y(value) + 4}" text-anchor="end">${format(value)}</text>`,
  );
  const drawn = lines.map(({ tone, values, filled }) => {
    const known = values.map((value, at) =>
      value === null ? null : `${placeOf(at, points).toFixed(1)},${y(value).toFixed(1)}`,
    );
    if (filled === true) {
      const base = (/** @type {number} */ at) => `${placeOf(at, points).toFixed(1)},${H - BOTTOM}`;
      return h`<polygon class="area ${tone}" points="${base(0)} ${known.filter((each) => each !== null).join(' ')} ${base(points - 1)}"/>`;
    }
    return pieces(known).map((piece) =>
      piece.length === 1
        ? h`<circle class="dot ${tone}" cx="${piece[0]?.split(',')[0]}" cy="${piece[0]?.split(',')[1]}" r="1.6"/>`
        : h`<polyline class="line ${tone}" points="${piece.join(' ')}"/>`,
    );
  });
  const marks = events.map((at) => {
    const x = LEFT + ((at - from) / (to - from)) * (W - LEFT - RIGHT);
    return x >= LEFT && x <= W - RIGHT && h`<line class="event" x1="${x}" x2="${x}" y1="${TOP}" y2="${H - BOTTOM}"/>`;
  });
  return h`<figure><figcaption class="plot-head"><h2>${title}</h2><span class="read" data-read></span></figcaption><svg class="plot" viewBox="0 0 ${W} ${H}" role="img" aria-label="${label}">${grid}${drawn}${marks}<line class="cross" x1="0" x2="0" y1="${TOP}" y2="${H - BOTTOM}"/><text x="${LEFT}" y="${H - 6}">${clock(from).slice(0, 5)}</text><text x="${W - RIGHT}" y="${H - 6}" text-anchor="end">${clock(to).slice(0, 5)}</text></svg></figure>`;
}

/**
 * Runs of points that are known.
 * @param {readonly (string | null)[]} points
 */
function pieces(points) {
  /** @type {string[][]} */
  const all = [[]];
  for (const point of points) {
    if (point === null) all.push([]);
    else all.at(-1)?.push(point);
  }
  return all.filter(({ length }) => length > 0);
}

/**
 * @typedef {object} Group the lines of one chart
 * @property {string} title
 * @property {string} what
 * @property {readonly Line[]} lines
 * @property {(value: number) => string} format
 */

/** @param {number} value */
function short(value) {
  return value >= 10 ? count(value) : String(Number(value.toFixed(1)));
}

/**
 * @param {readonly VersionSnapshot[]} versions
 * @param {ServerSnapshot} snapshot
 * @returns {readonly Group[]}
 */
function groupsOf(versions, snapshot) {
  const seconds = snapshot.server.point_ms / 1000;
  const newest = versions.at(-1);
  const named = (/** @type {string} */ what, /** @type {VersionSnapshot} */ { version }) =>
    versions.length === 1 ? what : `${what} v${version}`;
  const toneOf = (/** @type {VersionSnapshot} */ version) => (version === newest ? 'c1' : 'c0');
  const counted = (/** @type {string} */ what, /** @type {(point: PointSnapshot) => number} */ read) =>
    versions.map((version) => ({
      name: named(what, version),
      tone: toneOf(version),
      values: seriesOf(version, snapshot, read, 0),
    }));
  const timed = (/** @type {string} */ what, /** @type {string} */ soft, /** @type {4 | 5} */ key) =>
    versions.map((version) => ({
      name: named(what, version),
      tone: `${toneOf(version)} ${soft}`,
      values: seriesOf(version, snapshot, (point) => point[key], /** @type {number | null} */ (null)),
    }));
  const answered = counted('answered', (point) => point[1] / seconds);
  const refused = counted('refused', (point) => point[2] / seconds);
  const inAll = (refused[0]?.values ?? []).map((_, at) =>
    refused.reduce((sum, { values }) => sum + (values[at] ?? 0), 0),
  );
  const refusals = inAll.some((value) => value > 0) ? [{ name: 'refused', tone: 'c2', values: inAll }] : [];
  return [
    { title: 'Requests a second', what: 'Requests a second', lines: [...answered, ...refusals], format: rate },
    {
      title: 'Latency, ms',
      what: 'Latency in milliseconds',
      lines: [...timed('p50', 'soft', 4), ...timed('p99', '', 5)],
      format: ms,
    },
    {
      title: 'Requests that wait',
      what: 'Requests that wait for a batch, on average',
      lines: counted('waiting', (point) => point[6]),
      format: short,
    },
  ];
}

/**
 * The charts, and what the crosshair reads at each point; `undefined` for a model that nothing was asked of.
 * @param {ModelSnapshot} model
 * @param {ServerSnapshot} snapshot
 */
export function timeCharts(model, snapshot) {
  const { server, at_ms } = snapshot;
  const versions = model.versions.filter(({ figures }) => (figures?.points.length ?? 0) > 0);
  if (versions.length === 0) return undefined;
  const to = Math.floor(at_ms / server.point_ms) * server.point_ms;
  const from = to - (server.points - 2) * server.point_ms;
  const minutes = Math.round((to - from) / 60_000);
  const events = snapshot.events
    .filter(({ model: name, kind, at_ms: at }) => name === model.name && kind === 'rollout' && at > from)
    .map(({ at_ms: at }) => at);
  const groups = groupsOf(versions, snapshot);
  const charts = groups.map(({ title, what, lines, format }) => {
    const last = lines.map(({ name, values }) => `${name} ${format(values.findLast((value) => value !== null) ?? 0)}`);
    return chart(title, lines, {
      from,
      to,
      events,
      format: short,
      label: `${what} over ${minutes} minutes; last ${last.join(', ')}`,
    });
  });
  const readings = Array.from({ length: server.points - 1 }, (_, at) => ({
    time: clock(from + at * server.point_ms),
    texts: groups.map(({ lines, format }) => readingOf(lines, format, at)),
  }));
  const steps = events.length > 0 ? h`<p class="soft small">Dotted lines are steps of the rollout.</p>` : '';
  const markup = h`<section class="card times" aria-label="The last ${minutes} minutes"><div class="multiples" id="times" tabindex="0" role="group" aria-label="Charts of the last minutes: arrow keys read them point by point">${charts}</div>${steps}</section>`;
  return { markup, readings };
}

/**
 * @param {readonly Line[]} lines
 * @param {(value: number) => string} format
 * @param {number} at
 */
function readingOf(lines, format, at) {
  return lines
    .flatMap(({ name, values }) => {
      const value = values[at];
      return value === null || value === undefined ? [] : [`${name} ${format(value)}`];
    })
    .join(' · ');
}
