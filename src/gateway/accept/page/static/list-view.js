/** All models: a sentence, what happened lately, and one table. */

/** @import { ModelSnapshot, ServerSnapshot, VersionSnapshot } from '../snapshot.ts' */
/** @import { Verdict } from './sentences.js' */

import { askCard } from './ask.js';
import { seriesOf, shareOf } from './document.js';
import { bytes, count, ms, percent, rate, span } from './figures.js';
import { mark, versionState } from './marks.js';
import { h } from './markup.js';
import { notesOf } from './notes.js';
import { answeredBy, serverVerdict } from './sentences.js';
import { range, rangeScale, sizeBars, spark } from './small-charts.js';
import { batchingWords, failures, refusals, sendReasons, signatureOf } from './words.js';

/** Above so many models, the list can be narrowed by a word. */
const MANY = 12;

/** @param {string} name */
export function hrefOf(name) {
  return `#/${encodeURIComponent(name)}`;
}

/**
 * @param {Verdict} verdict
 * @param {import('./markup.js').Part} [more]
 */
export function verdictBox({ tone, lead, rest }, more) {
  return h`<section class="answer ${tone}" aria-label="In short"><p><strong>${lead}</strong>${rest !== '' && h` ${rest}`}</p>${more}</section>`;
}

/**
 * @param {ServerSnapshot} snapshot
 * @param {{ readonly language: string, readonly filter: string, readonly addresses: { readonly grpc: string, readonly http: string } }} shown
 */
export function listView(snapshot, { language, filter, addresses }) {
  const { models } = snapshot;
  const asked = models.find(({ default_version }) => default_version !== null);
  const box = verdictBox(serverVerdict(snapshot), h`${noteList(snapshot)}${models.length > 0 && figureList(snapshot)}`);
  if (models.length === 0) return h`${box}${firstSteps(addresses)}`;
  const word = filter.trim().toLowerCase();
  const rows = models.filter(({ name }) => name.toLowerCase().includes(word));
  const search =
    models.length > MANY &&
    h`<label class="search"><span class="hidden">Models whose name contains</span><input id="filter" type="search" placeholder="part of a name" value="${filter}"></label>`;
  return h`<h1 class="hidden" id="title" tabindex="-1">All models</h1><div class="first">${box}${asked !== undefined && askCard(asked, addresses, language)}</div>
<div class="head"><h2 id="models">Models</h2>${search}<span class="soft small">rates of the last 30 s, latencies of the last minute, everything else since the start</span></div>
<div class="scroll" tabindex="0" role="region" aria-labelledby="models"><table class="models" role="table" aria-labelledby="models"><thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">model</th><th role="columnheader" scope="col">state</th><th role="columnheader" scope="col">runs on</th><th role="columnheader" scope="col">batches</th><th role="columnheader" scope="col" class="num">answers/s</th><th role="columnheader" scope="col"><span>p50 to p99, ms</span>${rangeScale()}</th><th role="columnheader" scope="col" class="num opt2">waiting</th><th role="columnheader" scope="col" class="opt">rows a batch</th><th role="columnheader" scope="col" class="opt">sent, because</th><th role="columnheader" scope="col" class="num">refused</th><th role="columnheader" scope="col" class="num">failed</th></tr></thead>
<tbody role="rowgroup">${rows.map((model) => modelRows(model, snapshot))}</tbody></table></div>${rows.length === 0 && h`<p class="soft">No model has “${filter}” in its name.</p>`}`;
}

/** @param {ServerSnapshot} snapshot */
function noteList(snapshot) {
  const notes = notesOf(snapshot);
  if (notes.length === 0) return '';
  return h`<ul class="notes">${notes.map(({ mark: kind, model, text, at }) => h`<li>${mark(kind)}<span><a href="${hrefOf(model)}">${model}</a>: ${text}</span>${at !== null && h`<time>${span(snapshot.at_ms - at)} ago</time>`}</li>`)}</ul>`;
}

/** @param {ServerSnapshot} snapshot */
function figureList(snapshot) {
  const { server, models } = snapshot;
  const versions = models.flatMap((model) => model.versions);
  const sum = (/** @type {1 | 2} */ key) => {
    const series = versions.map((version) => seriesOf(version, snapshot, (point) => point[key], 0));
    return Array.from({ length: server.points - 1 }, (_, at) =>
      series.reduce((all, values) => all + (values[at] ?? 0), 0),
    );
  };
  const refused = versions.reduce((all, { figures }) => all + (figures?.refused_per_s ?? 0), 0);
  const figures = [
    h`<div><dt>answered</dt><dd>${rate(answeredBy(models))}/s</dd>${spark(sum(1))}</div>`,
    h`<div><dt>refused</dt><dd class="${refused === 0 ? 'zero' : 'much'}">${rate(refused)}/s</dd>${spark(sum(2))}</div>`,
    h`<div><dt>in flight</dt><dd class="${server.in_flight_requests === 0 && 'zero'}">${count(server.in_flight_requests)}, ${bytes(server.in_flight_bytes)} of ${bytes(server.in_flight_bytes_limit)}</dd></div>`,
    h`<div><dt>gateway busy</dt><dd>${percent(server.event_loop_busy)}</dd></div>`,
  ];
  return h`<dl class="figures">${figures}</dl>`;
}

/**
 * @param {ModelSnapshot} model
 * @param {ServerSnapshot} snapshot
 */
function modelRows(model, snapshot) {
  const name = h`<a href="${hrefOf(model.name)}">${model.name}</a>`;
  if (model.problem !== null)
    return brokenRow(
      h`${name}`,
      h`<span class="state failed">${mark('failed')}<b>cannot be loaded</b></span>`,
      model.problem,
      false,
    );
  return model.versions.map((version, at) => {
    const isFirst = at === 0;
    const title = isFirst
      ? h`${name}<span class="version">version ${version.version}</span><small>${signatureOf(model)}</small>`
      : h`<span class="second">version ${version.version}</span><small>${roleOf(model, version)}</small>`;
    const share = shareOf(model, version);
    const state = versionState(version.live, share > 0);
    if (version.live.state !== 'READY') return brokenRow(title, state, version.live.reason, !isFirst);
    return versionRow(model, version, snapshot, { title, state, share, isFirst });
  });
}

/**
 * @param {import('./markup.js').Part} title
 * @param {import('./markup.js').Part} state
 * @param {string} reason
 * @param {boolean} isSame
 */
function brokenRow(title, state, reason, isSame) {
  return h`<tr role="row" class="${isSame && 'same'}"><td role="cell" class="name">${title}</td><td role="cell" class="st">${state}</td><td role="cell" class="why soft" colspan="9">${reason}</td></tr>`;
}

/**
 * @param {ModelSnapshot} model
 * @param {VersionSnapshot} version
 * @param {ServerSnapshot} snapshot
 * @param {{ readonly title: import('./markup.js').Part, readonly state: import('./markup.js').Part, readonly share: number, readonly isFirst: boolean }} shown
 */
function versionRow(model, version, snapshot, { title, state, share, isFirst }) {
  const { live, figures, execution } = version;
  const { short, proof } = batchingWords(version);
  const isEnsemble = model.platform === 'ensemble';
  const [reason, second] = sendReasons(version);
  const batches = (figures?.sizes ?? []).reduce((sum, [, number]) => sum + number, 0);
  const latency = figures?.latency;
  const many = model.versions.length > 1;
  return h`<tr role="row" class="${!isFirst && 'same'}"><td role="cell" class="name">${title}</td><td role="cell" class="st">${state}${many && share > 0 && h`<small>${share} % of requests</small>`}</td><td role="cell" class="wide">${isEnsemble ? 'its steps' : execution?.provider}${live.memory_bytes > 0 && h`<small>${bytes(live.memory_bytes)}</small>`}</td><td role="cell" class="wide wrap">${isEnsemble ? 'by step' : short}${proof !== '' && h`<small title="${proof}">${proofWord(version)}</small>`}</td>
<td role="cell" class="rate"><span class="cells end">${spark(seriesOf(version, snapshot, (point) => point[1], 0))}<span class="${(figures?.answered_per_s ?? 0) === 0 && 'zero'}">${rate(figures?.answered_per_s ?? 0)}<span class="phone">/s</span></span></span></td><td role="cell" class="lat"><span class="cells">${range(latency)}<span>${latency !== null && latency !== undefined && `${ms(latency.p50)} – ${ms(latency.p99)}`}</span></span></td><td role="cell" class="num opt2 wide ${live.waiting_requests === 0 && 'zero'}">${count(live.waiting_requests)}</td><td role="cell" class="opt"><span class="cells">${batches > 0 && h`${sizeBars(figures?.sizes ?? [])}<span>${((figures?.rows ?? 0) / batches).toFixed(1)}</span>`}</span></td><td role="cell" class="opt">${reason !== undefined && h`<span title="${reason.words}">${reason.reason} <span class="soft">${percent(reason.share)}</span></span>${second !== undefined && h`<small title="${second.words}">${second.reason} ${percent(second.share)}</small>`}`}</td>${troubleCell(refusals(version), 'refused')}${troubleCell(failures(version), 'failed')}</tr>`;
}

/**
 * @param {readonly { readonly number: number, readonly words: string, readonly short: string }[]} reasons
 * @param {string} word
 */
function troubleCell(reasons, word) {
  const all = reasons.reduce((sum, { number }) => sum + number, 0);
  const [first] = reasons;
  if (all === 0 || first === undefined) return h`<td role="cell" class="num wrong"><span class="zero">0</span></td>`;
  return h`<td role="cell" class="num wrong"><span class="much">${count(all)}</span><span class="phone"> ${word}</span> <small title="${first.words}">${first.short}</small></td>`;
}

/**
 * @param {ModelSnapshot} model
 * @param {VersionSnapshot} version
 */
function roleOf({ rollout, shadow }, { version }) {
  if (rollout?.to === version) {
    if (rollout.stage === 'STAGE_ROLLED_BACK') return 'rolled back';
    return rollout.stage === 'STAGE_PROMOTED' ? 'promoted' : 'the new version';
  }
  return shadow?.version === version ? `gets ${percent(shadow.share)} as copies` : '';
}

/**
 * How it is known, in two words: the model's own view has the proof.
 * @param {VersionSnapshot} version
 */
function proofWord({ batching }) {
  switch (batching?.row_check?.result) {
    case 'independent':
      return 'proven safe';
    case 'dependent':
      return 'rows depend on others';
    default:
      return batching?.enabled === true ? 'as configured' : 'not batched';
  }
}

/** @param {{ readonly http: string }} addresses */
function firstSteps({ http }) {
  return h`<h1 class="hidden" id="title" tabindex="-1">No models</h1><div class="row two path"><section class="card"><h2>Your own model</h2><p>A folder for the model, one for the version, and the file.</p><pre tabindex="0"><code>mkdir -p models/resnet/1
cp resnet.onnx models/resnet/1/model.onnx
npx tensorgate serve models</code></pre></section><section class="card"><h2>A server that loads on request</h2><p>With <code>--model-control-mode explicit</code>.</p><pre tabindex="0"><code>curl -X POST http://${http}/v2/repository/models/resnet/load</code></pre></section></div>`;
}
