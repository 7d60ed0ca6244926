/** Renders a result as one self-contained page in the look of the report of `tensorgate compress`: no script, no network. */

import { renderDocument } from '../../compare/page/document.ts';
import { count, milliseconds, times } from '../../compare/page/format.ts';
import { type Markup, markup } from '../../compare/page/markup.ts';
import type { BenchResult, LevelResult } from '../result.ts';
import { goalOf, limitOf, nameOf } from '../verdict.ts';
import { answersOverLoad, batchesOverLoad, latencyOverLoad, loadTitle, STAGES, stagesOverLoad } from './bench-plots.ts';

export function renderBenchPage(result: BenchResult): string {
  const { model, version, tensorgate, created } = result;
  const title = `${model}${version === '' ? '' : ` version ${version}`} under load`;
  return renderDocument(
    title,
    markup`<p class="soft">Measured by tensorgate ${tensorgate} on ${created.slice(0, 16).replace('T', ' ')} UTC, from ${result.url} over ${PROTOCOLS[result.protocol]}.</p>
${answer(result)}
<p>${loadText(result)}</p>
${table(result)}
${remarks(result)}
${comparisonOf(result)}
${plots(result)}
${method(result)}`,
  );
}

const PROTOCOLS = { grpc: 'gRPC', rest: 'REST with JSON', 'rest-binary': 'REST with binary tensors' } as const;

/** The sentence that most readers need. */
function answer(result: BenchResult): Markup {
  const { slo, levels } = result;
  if (slo === null) return best(levels);
  const { met, broken } = limitOf(result);
  const goal = goalOf(slo);
  if (broken === undefined) {
    return markup`<div class="answer"><p><strong>All levels keep the objective</strong>, up to ${met && nameOf(met)}: ${goal}.</p></div>`;
  }
  const share = `${((broken.slo?.withinShare ?? 0) * 100).toFixed(1)} %`;
  const reason =
    broken.slo?.verdict === 'unknown'
      ? markup`at ${nameOf(broken)} the client machine was the bottleneck, so that it is not known`
      : markup`at ${nameOf(broken)} it is ${share}`;
  return markup`<div class="answer${met === undefined && ' none'}"><p>${met === undefined ? markup`<strong>No level is known to keep the objective</strong>` : markup`<strong>The objective holds up to ${nameOf(met)}</strong>`}: ${goal}; ${reason}.</p></div>`;
}

function best(levels: readonly LevelResult[]): Markup {
  const [most] = levels.toSorted((a, b) => b.answeredPerS - a.answeredPerS);
  if (most === undefined || most.answered === 0) {
    return markup`<div class="answer none"><p><strong>No call was answered.</strong></p></div>`;
  }
  const { latencyMs } = most;
  return markup`<div class="answer"><p><strong>${count(most.answeredPerS)} answers a second</strong> at most, at ${nameOf(most)}${latencyMs !== null && markup`: half of them within ${milliseconds(latencyMs.p50)}, 99 % within ${milliseconds(latencyMs.p99)}`}.</p></div>`;
}

function loadText({ arrivals }: BenchResult): string {
  if (arrivals === null) {
    return 'So many calls were under way all the time: each answer sent the next call. A server that is slow gets fewer calls in this load, so that its latency looks better than to independent callers.';
  }
  const gaps = arrivals === 'poisson' ? 'at random (Poisson)' : 'in bursts (gamma)';
  return `Calls were sent ${gaps}, whether or not answers came. Latency begins when a call was due.`;
}

function table(result: BenchResult): Markup {
  const { levels, slo, arrivals } = result;
  return markup`<h2>All levels</h2>
<div class="scroll" tabindex="0" role="region" aria-label="All levels"><table>
<thead><tr><th>${arrivals === null ? 'calls under way' : 'calls a second'}</th><th>answered<small>a second</small></th>${slo !== null && markup`<th>in time<small>a second</small></th>`}<th>p50</th><th>p90</th><th>p99</th><th>slowest</th><th>failed</th><th>rows<small>in a batch</small></th>${slo !== null && markup`<th>objective</th>`}</tr></thead>
<tbody>${levels.map(row)}</tbody></table></div>`;
}

function row(level: LevelResult): Markup {
  const { ratePerS, concurrency, calls, answered, answeredPerS, goodputPerS, latencyMs, slo, server } = level;
  const { p50, p90, p99, max } = latencyMs ?? {};
  return markup`<tr><td><strong>${ratePerS ?? concurrency}</strong></td><td>${count(answeredPerS)}</td>
${goodputPerS !== undefined && markup`<td>${count(goodputPerS)}</td>`}
${[p50, p90, p99, max].map((value) => markup`<td>${value === undefined ? '-' : milliseconds(value)}</td>`)}
<td>${count(calls - answered)}</td><td>${server?.rowsPerBatch?.toFixed(1) ?? '-'}</td>
${slo !== undefined && markup`<td><span class="chip ${slo.verdict === 'met' ? 'passed' : 'failed'}">${slo.verdict}</span></td>`}</tr>`;
}

function remarks({ levels }: BenchResult): Markup {
  return markup`${levels.map((level) => {
    const { client, failures, firstFailure } = level;
    const counts = Object.entries(failures).map(([status, number]) => `${count(number)} ${status}`);
    return markup`${client.bottleneck !== undefined && markup`<p><strong>${nameOf(level)}</strong> has no latency, because the client machine was the bottleneck: ${client.bottleneck}.</p>`}
${firstFailure !== undefined && markup`<p><strong>${nameOf(level)}</strong>: ${counts.join(', ')}. The first: ${firstFailure}</p>`}`;
  })}`;
}

function comparisonOf({ comparison }: BenchResult): Markup {
  if (comparison === undefined) return markup``;
  const { source, created, differences, levels, regressions } = comparison;
  return markup`<h2>Compared with an earlier result</h2>
<p>${source} of ${created.slice(0, 16).replace('T', ' ')} UTC. ${regressions === 0 ? 'No figure is worse.' : `${regressions} figure${regressions === 1 ? ' is' : 's are'} worse.`}
A change counts if it is above 10 %, and if the fifths of the two levels do not overlap.</p>
${differences.length > 0 && markup`<ul>${differences.map((text) => markup`<li>${text}</li>`)}</ul>`}
<div class="scroll" tabindex="0" role="region" aria-label="Comparison"><table><thead><tr><th>level</th><th>figure</th><th>before</th><th>now</th><th>now to before</th><th>verdict</th></tr></thead>
<tbody>${levels.map((level) =>
    level.figures.map(
      ({ name, before, now, ratio, verdict }) =>
        markup`<tr><td>${nameOf(level)}</td><td>${name}</td><td>${Number(before.toPrecision(3))}</td><td>${Number(now.toPrecision(3))}</td><td>${times(ratio)}</td><td>${verdict === 'same' ? 'same' : markup`<span class="chip ${verdict === 'better' ? 'passed' : 'failed'}">${verdict}</span>`}</td></tr>`,
    ),
  )}</tbody></table></div>`;
}

function plots(result: BenchResult): Markup {
  const latency = latencyOverLoad(result);
  const batches = batchesOverLoad(result);
  const stages = stagesOverLoad(result);
  const hasSlo = result.slo !== null;
  return markup`<h2>Over the load</h2>
<div class="plots">
${latency.text !== '' && markup`<div><h3>Latency</h3><p class="soft">Half of the answered calls are below p50, 99 % below p99. The axis is logarithmic.</p>${latency}</div>`}
<div><h3>Answers</h3><p class="soft">${result.arrivals === null ? 'Where the line stops to rise, more callers only wait longer.' : 'A server that keeps up answers as many calls as are sent.'}${hasSlo && ' In time: within the objective.'}</p>${answersOverLoad(result)}</div>
${batches.text !== '' && markup`<div><h3>Batches</h3><p class="soft">Requests that wait together are run as one batch. By the statistics of the server, where other callers count too.</p>${batches}</div>`}
${
  stages.text !== '' &&
  markup`<div><h3>Time in the server</h3><p class="soft">Mean of a request, by the statistics of the server.</p>
<ul class="legend">${STAGES.map(({ name, colour }) => markup`<li><svg class="c${colour}" width="14" height="14" aria-hidden="true"><circle class="dot" cx="7" cy="7" r="5"/></svg>${name}</li>`)}</ul>${stages}</div>`
}
</div>`;
}

function method(result: BenchResult): Markup {
  const { machine, command, data, durationMs, warmUpMs, deadlineMs, levels } = result;
  const processes = Math.max(...levels.map(({ client }) => client.processes));
  return markup`<h2>How it was measured</h2>
<p>Each level of ${loadTitle(result).replace(', sent', '')} took ${count(durationMs / 1_000)} s, after ${milliseconds(warmUpMs)} that do not count.
Every latency includes the way over the network and the client's own work.</p>
<dl class="facts"><dt>data</dt><dd>${count(data.rows)} row${data.rows !== 1 && 's'}: ${data.source}</dd>
<dt>deadline</dt><dd>${milliseconds(deadlineMs)}</dd>
<dt>client</dt><dd>${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}, ${processes} process${processes !== 1 && 'es'}</dd></dl>
<pre>${command}</pre>`;
}
