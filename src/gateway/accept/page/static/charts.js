/** Charts of one model: where the time goes, rows in a batch, predicted against real. */

/** @import { VersionSnapshot } from '../snapshot.ts' */

import { ms, percent } from './figures.js';
import { h } from './markup.js';
import { sizeShares } from './small-charts.js';
import { sendReasons } from './words.js';

const W = 300;

/**
 * The newest version that is asked is blue, others are grey.
 * @param {readonly VersionSnapshot[]} versions
 * @param {VersionSnapshot} version
 */
export function toneOf(versions, version) {
  return versions.at(-1) === version ? 'c1' : 'c0';
}

/** @param {readonly VersionSnapshot[]} versions */
export function stageChart(versions) {
  const known = versions.flatMap((version) => {
    const stages = version.figures?.stages;
    return stages === null || stages === undefined ? [] : [{ version, stages }];
  });
  if (known.length === 0) return h``;
  const most = Math.max(...known.map(({ stages }) => stages.waiting + stages.transfer + stages.compute), 1e-6);
  const row = 52;
  const place = (/** @type {number} */ value) => (value / most) * (W - 4);
  const rows = known.map(({ version, stages }, at) => {
    const tone = toneOf(
      known.map((each) => each.version),
      version,
    );
    const [waits, moves] = [place(stages.waiting), place(stages.transfer)];
    const top = at * row + (known.length > 1 ? 16 : 4);
    const texts = `waits ${ms(stages.waiting)} · transfer ${ms(stages.transfer)} · compute ${ms(stages.compute)}`;
    return h`${known.length > 1 && h`<text class="label ${tone}" x="0" y="${top - 4}">version ${version.version}</text>`}<rect class="hatch" x="0.5" y="${top}" width="${Math.max(0.5, waits)}" height="13"/><rect class="bar mid ${tone}" x="${waits + 1}" y="${top}" width="${Math.max(0.5, moves)}" height="13"/><rect class="bar ${tone}" x="${waits + moves + 1}" y="${top}" width="${Math.max(0.5, place(stages.compute))}" height="13"/><text x="0" y="${top + 27}">${texts}</text>`;
  });
  const label = known
    .map(
      ({ version, stages }) =>
        `version ${version.version}: waits ${ms(stages.waiting)}, transfer ${ms(stages.transfer)}, compute ${ms(stages.compute)} ms`,
    )
    .join('; ');
  return h`<section class="card"><h2>Where the time goes</h2><p>Mean of a request since the start, ms</p><svg class="plot" viewBox="0 0 ${W} ${known.length * row}" role="img" aria-label="${label}">${rows}</svg></section>`;
}

/** @param {readonly VersionSnapshot[]} versions */
export function sizeChart(versions) {
  const known = versions.filter(({ figures }) => (figures?.sizes.length ?? 0) > 0);
  if (known.length === 0) return h``;
  const H = 136;
  const shares = known.map(({ figures }) => sizeShares(figures?.sizes ?? []));
  const steps = shares
    .reduce((longest, each) => (each.length > longest.length ? each : longest))
    .map(({ rows }) => rows);
  const most = Math.max(...shares.flat().map(({ share }) => share));
  const width = W / steps.length;
  const bar = (width - 8) / known.length;
  const y = (/** @type {number} */ share) => H - 20 - (share / most) * (H - 40);
  const columns = steps.map((rows, at) => {
    const top = Math.max(...shares.map((each) => each[at]?.share ?? 0));
    const bars = shares.map((each, of) => {
      const share = each[at]?.share ?? 0;
      const height = Math.max(1.5, H - 20 - y(share));
      const version = known[of];
      return (
        share > 0 &&
        version !== undefined &&
        h`<rect class="bar ${toneOf(known, version)}" x="${at * width + 4 + of * bar}" y="${H - 20 - height}" width="${bar - 1}" height="${height}"/>`
      );
    });
    return h`<text x="${at * width + width / 2}" y="${H - 5}" text-anchor="middle">${at > 1 ? `≤${rows}` : rows}</text>${bars}${top > 0 && h`<text x="${at * width + width / 2}" y="${y(top) - 5}" text-anchor="middle">${percent(top)}</text>`}`;
  });
  const [reason] = known.length === 0 || known[0] === undefined ? [] : sendReasons(known.at(-1) ?? known[0]);
  const label = known
    .map(
      ({ version }, of) =>
        `version ${version}: ${(shares[of] ?? [])
          .filter(({ share }) => share > 0)
          .map(({ rows, share }) => `up to ${rows} rows ${percent(share)}`)
          .join(', ')}`,
    )
    .join('; ');
  return h`<section class="card"><h2>Rows in a batch</h2><p>${reason !== undefined && `${percent(reason.share)} were sent because ${reason.words}`}</p><svg class="plot" viewBox="0 0 ${W} ${H}" role="img" aria-label="${label}"><line class="axis" x1="0" x2="${W}" y1="${H - 20}" y2="${H - 20}"/>${columns}</svg></section>`;
}

const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];
/** Fewer runs show nothing. */
const MIN_RUNS = 10;

/** @param {readonly VersionSnapshot[]} versions */
export function predictionChart(versions) {
  const known = versions.filter(({ figures }) => (figures?.runs.length ?? 0) >= MIN_RUNS);
  if (known.length === 0) return h``;
  const [H, L, B] = [150, 36, 22];
  const times = known.flatMap(({ figures }) =>
    (figures?.runs ?? []).flatMap(([, , predicted, real]) => [predicted, real]),
  );
  const low = Math.log10(Math.max(0.05, Math.min(...times)));
  const high = Math.max(low + 0.3, Math.log10(Math.max(...times)));
  const part = (/** @type {number} */ value) =>
    Math.max(0, Math.min(1, (Math.log10(Math.max(value, 1e-3)) - low) / (high - low)));
  const x = (/** @type {number} */ value) => L + part(value) * (W - L - 14);
  const y = (/** @type {number} */ value) => H - B - part(value) * (H - B - 10);
  const inside = TICKS.filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high);
  const ticks = inside.length > 5 ? inside.filter((_, at) => at % 2 === 0) : inside;
  const grid = ticks.map(
    (tick) =>
      h`<line class="grid" x1="${L}" x2="${W - 8}" y1="${y(tick)}" y2="${y(tick)}"/><text x="${L - 6}" y="${y(tick) + 4}" text-anchor="end">${tick}</text><text x="${x(tick)}" y="${H - 6}" text-anchor="middle">${tick}</text>`,
  );
  const dots = known.map((version) =>
    (version.figures?.runs ?? []).map(
      ([, rows, predicted, real]) =>
        h`<circle class="speck ${toneOf(known, version)}" cx="${x(predicted).toFixed(1)}" cy="${y(real).toFixed(1)}" r="${Math.min(6, 1.6 + Math.sqrt(rows) * 0.7).toFixed(1)}"/>`,
    ),
  );
  const within = known.at(-1)?.figures?.within_prediction ?? null;
  const said = within === null ? '' : `; ${percent(within)} took no longer than predicted`;
  return h`<section class="card"><h2>Predicted against real</h2><p>Run times in ms${said}</p><svg class="plot" viewBox="0 0 ${W} ${H}" role="img" aria-label="Predicted and real time of the last runs, in milliseconds${said}">${grid}<line class="axis" x1="${x(10 ** low)}" y1="${y(10 ** low)}" x2="${x(10 ** high)}" y2="${y(10 ** high)}"/>${dots}<text class="label" x="${W - 10}" y="${H - B - 6}" text-anchor="end">predicted →</text><text class="label" x="${L + 4}" y="14">↑ real</text></svg></section>`;
}
