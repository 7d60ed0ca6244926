/**
 * Renders a report as one self-contained page: no script, no second file, no network. Its readers know models, but not
 * quantization.
 */

import type { Flip, ModelReport, Report } from '../report.ts';
import { renderDocument } from './document.ts';
import { count, megabytes, milliseconds, percent, small, times } from './format.ts';
import { type Markup, markup } from './markup.ts';
import { accuracyAgainstSpeed, accuracyByClass, colourOf, largestBatch, legend, speedByBatch } from './plots.ts';

/** Pictures of rows, as data URIs, by their places in the data. */
export type Pictures = ReadonlyMap<number, string>;

/** Rows with answers that differ that the page shows. */
const MAX_SHOWN = 24;
/** A prime, so that it goes through all rows in any number of them that is not its multiple. */
const STRIDE = 61;

/** The rows that the page shows because answers differ: first rows of all candidates, then of each candidate. */
export function shownRows({ candidates }: Report): number[] {
  const rows = new Set<number>();
  const longest = Math.max(0, ...candidates.map(({ quality }) => quality.flips.shown.length));
  for (let at = 0; at < longest && rows.size < MAX_SHOWN; at++) {
    for (const { quality } of candidates) {
      // Spread over all of the data: sorted data begins with one class.
      const { shown } = quality.flips;
      const row = shown[(at * STRIDE) % Math.max(1, shown.length)]?.row;
      if (at < shown.length && row !== undefined && rows.size < MAX_SHOWN) rows.add(row);
    }
  }
  return [...rows].sort((a, b) => a - b);
}

export function renderPage(report: Report, pictures: Pictures): string {
  const { model, candidates } = report;
  const title = `${model.name}: ${candidates.length} candidate${candidates.length === 1 ? '' : 's'} to take the place of version ${model.version}`;
  return renderDocument(
    title,
    markup`<p class="soft">Made by tensorgate ${report.tensorgate} on ${report.created.slice(0, 16).replace('T', ' ')} UTC.</p>
${answer(report)}
<p>A candidate is another form of the same model: smaller, faster, or both, and hopefully as good. Every model on this page got the
same data, ${describeData(report)}, each in a process of its own. ${isLabelled(report) ? 'Accuracy is the share of right answers.' : 'The data has no labels, so there is no accuracy: only whether a candidate answers as the base does.'}
The base is what serves today.</p>
${table(report)}
${notMade(report)}
${plots(report)}
${flips(report, pictures)}
${gates(report)}
${details(report)}
${method(report)}`,
  );
}

function isLabelled({ base }: Report): boolean {
  return base.quality.accuracy !== undefined;
}

function describeData({ data }: Report): string {
  const rows = `${count(data.rows)} row${data.rows === 1 ? '' : 's'}`;
  switch (data.kind) {
    case 'labelled':
      return `${rows} of ${data.source} whose right answers are known`;
    case 'held-out':
      return `${rows} of ${data.source} that no candidate was made with`;
    case 'calibration':
      return `${rows} of ${data.source}, the same that candidates were calibrated on, so that they look a little better than they are`;
    case 'made-up':
      return `${rows} of random values, which say how fast a model is, and little of how good`;
  }
}

/** The sentence that most readers need. */
function answer(report: Report): Markup {
  const { base, candidates } = report;
  const batch = largestBatch(report);
  const passed = candidates.filter((candidate) => candidate.passed);
  const best = passed.toSorted((a, b) => speedAt(b, batch) - speedAt(a, batch))[0];
  if (best === undefined) {
    return markup`<div class="answer none"><p><strong>No candidate passed.</strong> The base should go on serving. Why each failed is said under “Gates”.</p></div>`;
  }
  const drop =
    best.quality.accuracy === undefined || base.quality.accuracy === undefined
      ? undefined
      : (best.quality.accuracy - base.quality.accuracy) * 100;
  return markup`<div class="answer"><p><strong>${best.name}</strong> is the fastest of ${passed.length} that passed${passed.length < candidates.length && markup` (${candidates.length - passed.length} did not)`}:
  ${times(speedAt(best, batch))} the speed of the base in batches of ${batch}, ${sizeBeside(best, base)},
  ${likeness(best.quality)}${drop !== undefined && markup`, and ${percent(best.quality.accuracy ?? 0)} right (${signed(drop)} points)`}.</p>
  ${report.published !== undefined && markup`<p>${report.published.candidate} is published as version ${report.published.version}.</p>`}</div>`;
}

/** How near answers are to the base, in a clause. */
function likeness({ agreement, embedding }: ModelReport['quality']): string {
  if (embedding === undefined) return `${percent(agreement)} of the answers the same`;
  return `a mean cosine of ${embedding.meanCosine.toFixed(4)}, and ${percent(embedding.neighboursKept)} of the nearest neighbours kept`;
}

function sizeBeside(own: ModelReport, base: ModelReport): string {
  const ratio = base.bytes / own.bytes;
  if (ratio >= 1.05) return `${times(ratio)} smaller`;
  return ratio > 0.95 ? 'as large' : `${times(1 / ratio)} larger`;
}

function speedAt({ speed }: ModelReport, batch: number): number {
  return speed.find((each) => each.batch === batch)?.ratio.median ?? 0;
}

function signed(points: number): string {
  const text = Math.abs(points).toFixed(2);
  return text === '0.00' ? '±0.00' : `${points > 0 ? '+' : '−'}${text}`;
}

function table(report: Report): Markup {
  const { base, candidates } = report;
  const batch = largestBatch(report);
  const first = base.speed[0]?.batch ?? 1;
  const labelled = isLabelled(report);
  return markup`<h2>All models</h2>
<div class="scroll"><table>
<thead><tr><th>model</th>${labelled && markup`<th>right answers</th>`}<th>same as base</th><th>size</th><th>rows a second<small>one at a time</small></th><th>rows a second<small>batch of ${batch}</small></th><th>memory</th><th>load</th><th></th></tr></thead>
<tbody>${[base, ...candidates].map((model) => {
    const isBase = model === base;
    const points = ((model.quality.accuracy ?? 0) - (base.quality.accuracy ?? 0)) * 100;
    return markup`<tr><td><strong>${model.name}</strong>${isBase && markup`<small>base</small>`}</td>
${labelled && markup`<td>${percent(model.quality.accuracy ?? 0)}${!isBase && markup`<small>${signed(points)} points</small>`}</td>`}
<td>${!isBase && sameAsBase(model.quality)}</td>
<td>${megabytes(model.bytes)}${!isBase && markup`<small>${sizeBeside(model, base)}</small>`}</td>
${[first, batch].map((size) => {
  const found = model.speed.find((each) => each.batch === size);
  return found === undefined
    ? markup`<td>–</td>`
    : markup`<td>${count(found.itemsPerSecond.median)}${!isBase && markup`<small>${times(found.ratio.median)} the base</small>`}</td>`;
})}
<td>${megabytes(model.memoryBytes)}</td><td>${milliseconds(model.loadMs)}</td>
<td>${!isBase && markup`<span class="chip ${model.passed ? 'passed' : 'failed'}">${model.passed ? 'passed' : 'failed'}</span>`}</td></tr>`;
  })}</tbody></table></div>`;
}

function sameAsBase({ agreement, embedding, flips }: ModelReport['quality']): Markup {
  if (embedding === undefined) return markup`${percent(agreement)}<small>${count(flips.count)} differ</small>`;
  const { meanCosine, worstCosine, neighbours, neighboursKept } = embedding;
  return markup`cosine ${meanCosine.toFixed(4)}<small>${worstCosine.toFixed(4)} in the worst of a hundred</small>
<small>${percent(neighboursKept)} of the ${neighbours} nearest rows kept</small>`;
}

function notMade({ notMade: missing }: Report): Markup {
  return markup`${missing.map(({ name, reason }) => markup`<p><strong>${name}</strong> was not made: ${reason}</p>`)}`;
}

function plots(report: Report): Markup {
  const models = [report.base, ...report.candidates];
  const batch = largestBatch(report);
  const scatter = accuracyAgainstSpeed(models, batch);
  const lines = speedByBatch(models);
  const classes = accuracyByClass(models, report.model.classes);
  if (`${scatter.text}${lines.text}` === '') return markup``;
  return markup`<h2>Speed and quality</h2>
${legend(models)}
<div class="plots">
${scatter.text !== '' && markup`<div><h3>Where each model stands</h3><p class="soft">Up is better, right is faster. The area of a dot is the size of the file; the line through it spans the slowest and the fastest round.</p>${scatter}</div>`}
${lines.text !== '' && markup`<div><h3>What a batch brings</h3><p class="soft">A server answers requests that wait together as one batch. The band spans the slowest and the fastest round.</p>${lines}</div>`}
${classes.text !== '' && markup`<div><h3>Right answers by class</h3><p class="soft">A candidate can be as good on the whole, and worse at one thing: a dot far left of the ring is such a class.</p>${classes}</div>`}
</div>`;
}

function flips(report: Report, pictures: Pictures): Markup {
  const { candidates, data } = report;
  const rows = shownRows(report);
  if (rows.length === 0) {
    const isVector = candidates.some(({ quality }) => quality.embedding !== undefined);
    if (isVector)
      return markup`<h2>Where answers differ</h2><p>Vectors have no classes: the table says how near they are.</p>`;
    const differ = candidates.some(({ quality }) => quality.flips.count > 0);
    return markup`<h2>Where answers differ</h2><p>${differ ? 'Answers differ by more than 5 %, but the model has no classes that could be shown.' : `Nowhere: on all ${count(data.rows)} rows every candidate names the same class as the base.`}</p>`;
  }
  const total = candidates.map(({ name, quality }) => `${count(quality.flips.count)} of ${name}`).join(', ');
  return markup`<h2>Where answers differ</h2>
<p>Of ${count(data.rows)} rows: ${total}. A low number beside the base says that it was not sure either${rows.length === MAX_SHOWN && `; ${MAX_SHOWN} are shown, from all over the data`}.
The number is the score of the class. A candidate that is not listed answers as the base does.</p>
<div class="flips">${rows.map((row) => flip(row, report, pictures.get(row)))}</div>`;
}

function flip(row: number, { candidates }: Report, picture: string | undefined): Markup {
  const found = candidates.flatMap(({ quality }, index) => {
    const one = quality.flips.shown.find((each) => each.row === row);
    return one === undefined ? [] : [{ index: index + 1, one, name: candidates[index]?.name ?? '' }];
  });
  const first = found[0]?.one;
  if (first === undefined) return markup``;
  return markup`<div class="flip">${picture !== undefined && markup`<img src="${picture}" alt="${first.name}">`}
<div class="name">${first.name}</div>${first.label !== undefined && markup`<div>right is <strong>${first.label}</strong></div>`}
<dl><dt class="c0">base</dt>${shownAnswer(first.base, first.label)}${found.map(({ index, one, name }) => markup`<dt class="${colourOf(index)}">${name}</dt>${shownAnswer(one.candidate, one.label)}`)}</dl></div>`;
}

function shownAnswer(given: Flip['base'], label: string | undefined): Markup {
  const name = given.name ?? `class ${given.class}`;
  const verdict = label === undefined ? '' : name === label || String(given.class) === label ? 'right' : 'wrong';
  return markup`<dd class="${verdict}">${name} ${given.value.toFixed(2)}</dd>`;
}

function gates({ candidates }: Report): Markup {
  return markup`<h2>Gates</h2>
<p>What a candidate has to pass to take the place of the base.</p>
${candidates.map(
  ({ name, gates: judged }) =>
    markup`<strong>${name}</strong><ul class="gates">${judged.map(
      ({ gate, passed, reason }) =>
        markup`<li><span class="mark ${passed ? 'yes' : 'no'}" role="img" aria-label="${passed ? 'passed' : 'failed'}">${passed ? '✓' : '✗'}</span><code>${gate}</code> ${reason}</li>`,
    )}</ul>`,
)}`;
}

function details({ base, candidates }: Report): Markup {
  return markup`<h2>Details</h2>
<p>Operators are the steps that really run, after ONNX Runtime's fusion; the operators of int8 models begin with QLinear or QGemm where integers are computed.</p>
${[base, ...candidates].map((model) => {
  const { name, sha256, bytes, steps, operators, rowIndependence: rows, latency, quality } = model;
  return markup`<details><summary>${name}</summary><dl>
<dt>file</dt><dd>${count(bytes)} bytes, sha256 <code>${sha256}</code></dd>
<dt>one row by itself</dt><dd>${milliseconds(latency.p50Ms)} usually, ${milliseconds(latency.p99Ms)} in the slowest of a hundred (${count(latency.runs)} runs)</dd>
<dt>rows in a batch</dt><dd>${rows.verdict}${rows.verdict !== 'unbatched' && `: separately and together ${count(rows.rows)} rows differ by ${small(rows.max)} at most, and ${count(rows.changed)} change their answer`}${rows.reason !== undefined && ` (${rows.reason})`}</dd>
${model !== base && markup`<dt>scores</dt><dd>differ from the base by ${small(quality.maxAbs)} at most and ${small(quality.meanAbs)} on average</dd>`}
<dt>operators</dt><dd>${Object.entries(operators)
    .map(([kind, number]) => `${number} ${kind.replace(/^com\.microsoft\./, '')}`)
    .join(', ')}</dd></dl>
${steps.length > 0 && markup`<ul>${steps.map((step) => markup`<li>${step}</li>`)}</ul>`}</details>`;
})}`;
}

function method({ machine, command, calibration, data }: Report): Markup {
  return markup`<h2>How it was measured</h2>
<p>All models ran alternately, batch size by batch size, in five rounds after one that does not count; shown is the median of the rounds.
The ratio to the base is of the same round, so that other load of the machine slows both alike: trust it more than rows a second.
Times are inside ONNX Runtime, without network and queues.</p>
<dl class="facts"><dt>processor</dt><dd>${machine.cpu}, ${count(machine.cores)} cores, ${machine.instructionSet}; one thread for each model</dd>
<dt>load</dt><dd>${machine.loadAverage.join(' before, ')} after, of ${count(machine.cores)} cores${machine.loadAverage[1] > machine.cores * 1.5 && ': the machine was busy with other work, so rows a second are lower and less even than it could'}</dd>
<dt>software</dt><dd>ONNX Runtime ${machine.onnxRuntime}, Node ${machine.node}, ${machine.system}</dd>
${calibration !== undefined && markup`<dt>calibrated on</dt><dd>${count(calibration.rows)} rows of ${calibration.source}</dd>`}
<dt>judged on</dt><dd>${count(data.rows)} rows of ${data.source}</dd></dl>
<pre><code>${command}</code></pre>
<p class="soft">All of it, for programs: <code>report.json</code> beside this page.</p>`;
}
