/** One model: why it is as it is, what happened to it, and a form to ask it. */

/** @import { ModelSnapshot, ServerSnapshot, VersionSnapshot } from '../snapshot.ts' */

import { askCard } from './ask.js';
import { predictionChart, sizeChart, stageChart } from './charts.js';
import { shareOf } from './document.js';
import { bytes, count, percent, plural, span } from './figures.js';
import { hrefOf, verdictBox } from './list-view.js';
import { mark, versionState } from './marks.js';
import { h } from './markup.js';
import { notesOf } from './notes.js';
import { rolloutCard, shadowCard } from './rollout-view.js';
import { modelVerdict } from './sentences.js';
import { timeCharts } from './time-charts.js';
import { tryCard } from './try-form.js';
import { batchingWords, failures, refusals, sendReasons, signatureOf } from './words.js';

/**
 * @param {ModelSnapshot} model
 * @param {ServerSnapshot} snapshot
 * @param {{ readonly language: string, readonly addresses: { readonly grpc: string, readonly http: string } }} shown
 */
export function modelView(model, snapshot, { language, addresses }) {
  const asked = model.versions.find(({ version }) => version === model.default_version);
  const state =
    model.problem !== null
      ? h`<span class="state failed">${mark('failed')}<b>cannot be loaded</b></span>`
      : versionState((asked ?? model.versions[0])?.live ?? NOT_LOADED, true);
  const title = h`<div class="title"><h1 id="title" tabindex="-1">${model.name}</h1>${state}<code>${signatureOf(model)}</code></div>`;
  const notes = notesOf(snapshot).filter(({ model: name, at }) => name === model.name && at !== null);
  const noteList =
    notes.length > 0 &&
    h`<ul class="notes">${notes.map(({ mark: kind, text, at }) => h`<li>${mark(kind)}<span>${text}</span>${at !== null && h`<time>${span(snapshot.at_ms - at)} ago</time>`}</li>`)}</ul>`;
  const times = timeCharts(model, snapshot);
  const charts = [stageChart(model.versions), sizeChart(model.versions), predictionChart(model.versions)].filter(
    ({ text }) => text !== '',
  );
  const side =
    asked === undefined
      ? ''
      : h`<div class="stack"><div id="try-slot">${snapshot.server.rest && tryCard(model)}</div>${askCard(model, addresses, language)}</div>`;
  const markup = h`${title}${verdictBox(modelVerdict(model), noteList)}<div class="columns"><div class="stack">${rolloutCard(model)}${shadowCard(model)}${times?.markup}${charts.length > 0 && h`<div class="row three">${charts}</div>`}${stepsCard(model)}${model.versions.length > 0 && versionsCard(model, snapshot)}</div>${side}</div>`;
  return { markup, readings: times?.readings ?? [] };
}

const NOT_LOADED = {
  state: 'UNAVAILABLE',
  reason: '',
  waiting_requests: 0,
  waiting_rows: 0,
  memory_bytes: 0,
  breaker: 'closed',
  down: false,
};

/** @param {ModelSnapshot} model */
function stepsCard({ steps }) {
  if (steps.length === 0) return h``;
  return h`<section class="card"><h2>Steps</h2><ol class="steps">${steps.map(({ model, version }) => h`<li><a href="${hrefOf(model)}">${model}</a>${version !== '' && ` version ${version}`}</li>`)}</ol></section>`;
}

/**
 * @param {ModelSnapshot} model
 * @param {ServerSnapshot} snapshot
 */
function versionsCard(model, { server }) {
  const control =
    server.control &&
    h`<p class="control"><button type="button" class="quiet" data-load="${model.name}">Load again</button><button type="button" class="quiet" data-unload="${model.name}">Unload</button></p>`;
  return h`<section class="card" aria-labelledby="versions"><h2 id="versions">Versions</h2><div class="scroll" tabindex="0" role="group" aria-label="All versions"><table class="versions"><thead><tr><th scope="col">version</th><th scope="col">state</th><th scope="col">requests</th><th scope="col">runs on</th><th scope="col">memory</th><th scope="col">batching, and how that is known</th><th scope="col">sent, because</th><th scope="col">breaker</th></tr></thead><tbody>${model.versions.map((version) => versionLine(model, version))}</tbody></table></div>${control}</section>`;
}

/**
 * @param {ModelSnapshot} model
 * @param {VersionSnapshot} version
 */
function versionLine(model, version) {
  const { live, execution } = version;
  const { short, proof } = batchingWords(version);
  const share = shareOf(model, version);
  const gain = version.batching?.gain;
  const faster =
    gain === null || gain === undefined
      ? ''
      : `; ${gain.rows} rows together take ${percent(gain.batch_ms / gain.one_by_one_ms)} of the time one by one`;
  const trouble = [...refusals(version), ...failures(version)];
  const refused = execution?.refused ?? [];
  return h`<tr><td><b>${version.version}</b></td><td>${versionState(live, share > 0)}${live.state !== 'READY' && h`<small>${live.reason}</small>`}</td><td>${share} %${trouble.map(({ number, short: why, words }) => h`<small title="${words}">${count(number)} ${why}</small>`)}</td><td>${execution === null ? '–' : `${execution.provider}, ${plural(execution.instances.length, 'instance')}`}${refused.map(({ provider, reason }) => h`<small>not ${provider}: ${reason}</small>`)}</td><td>${live.memory_bytes > 0 ? bytes(live.memory_bytes) : '–'}</td><td class="proof">${short}${proof !== '' && h` <span class="soft">– ${proof}${faster}</span>`}</td><td>${sendReasons(version).map(({ reason, share: part, words }) => h`<span title="${words}">${reason} ${percent(part)}</span><br>`)}</td><td>${live.breaker}</td></tr>`;
}
