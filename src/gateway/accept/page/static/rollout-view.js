/** The way of a new version, its share of the requests, and the limits that it has to hold. */

/** @import { ModelSnapshot } from '../snapshot.ts' */

import { count, ms, percent, span } from './figures.js';
import { mark } from './marks.js';
import { h } from './markup.js';

/** @param {ModelSnapshot} model */
export function rolloutCard({ name, rollout }) {
  if (rollout === null) return h``;
  const { from, to, stage, detail, in_force: inForce } = rollout;
  const isOver = stage === 'STAGE_PROMOTED' || stage === 'STAGE_ROLLED_BACK';
  if (isOver && !inForce) return h``;
  const aside = isOver
    ? ''
    : h`<span class="soft small">goes on when every limit holds; <code>tensorgate rollout abort ${name}</code> ends it</span>`;
  return h`<section class="card" aria-labelledby="rollout"><div class="plot-head"><h2 id="rollout">Version ${from} → version ${to}</h2>${aside}</div>${stations(rollout)}<p class="small ${stage === 'STAGE_ROLLED_BACK' ? 'failed' : 'soft'}">${detail}</p>${splitBar(rollout)}${!isOver && limits(rollout)}${history(rollout)}</section>`;
}

/** @typedef {NonNullable<ModelSnapshot['rollout']>} Rollout */

/** @param {Rollout} rollout */
function stations({ stage, percent: share, steps, comparisons, hold_ms: holdMs }) {
  const hold = span(Number(holdMs));
  const all = [
    { name: 'loaded', text: '' },
    { name: 'shadow', text: `${count(comparisons)} compared` },
    ...steps.map((step) => ({ name: `${step} %`, text: hold })),
    { name: 'promoted', text: '' },
  ];
  const at =
    {
      STAGE_LOADING: 0,
      STAGE_SHADOW: 1,
      STAGE_CANARY: 2 + Math.max(0, steps.indexOf(share)),
      STAGE_PROMOTED: all.length,
      STAGE_ROLLED_BACK: -1,
    }[stage] ?? 0;
  if (at === -1) return h`<ol class="way"><li class="broken">${mark('failed')}<b>rolled back</b></li></ol>`;
  return h`<ol class="way">${all.map(({ name, text }, index) => {
    const kind = index < at ? 'past' : index === at ? 'at' : 'ahead';
    return h`<li class="${kind}"${kind === 'at' && h` aria-current="step"`}>${mark(kind === 'at' ? 'now' : kind, kind === 'ahead' ? 'busy' : 'now')}<b>${name}</b>${kind === 'at' ? 'now' : text}</li>`;
  })}</ol>`;
}

/** @param {Rollout} rollout */
function splitBar({ from, to, percent: share, shadow_share: copies, stage }) {
  const W = 600;
  const edge = ((100 - share) / 100) * W;
  const copied =
    stage === 'STAGE_SHADOW' || (stage === 'STAGE_CANARY' && share < 100)
      ? `; ${percent(copies)} of its requests are copied to version ${to}`
      : '';
  return h`<div class="split"><svg viewBox="0 0 ${W} 16" preserveAspectRatio="none" aria-hidden="true"><rect class="bar light c0" x="0" y="3" width="${edge}" height="10"/><rect class="bar c1" x="${edge}" y="3" width="${W - edge}" height="10"/></svg><p class="small soft">version ${from} answers ${100 - share} %${copied}; version ${to} answers ${share} %</p></div>`;
}

/** @param {Rollout} rollout */
function limits({
  evidence,
  requests,
  comparisons,
  min_agreement: agreement,
  max_error_rate: errors,
  max_p99_ratio: ratio,
  stage,
  from,
}) {
  if (evidence === undefined) return h``;
  const {
    compared,
    agreeing,
    disagreeing,
    to_answered: answered,
    to_failed: failed,
    to_p99_ms: p99,
    from_p99_ms: reference,
  } = evidence;
  const judged = agreeing + disagreeing;
  const isShadow = stage === 'STAGE_SHADOW';
  const asks = [
    {
      name: 'same answer',
      holds: judged === 0 ? undefined : agreeing / judged >= agreement,
      text: `${count(agreeing)} of ${count(judged)}; ${percent(agreement)} must`,
    },
    isShadow
      ? {
          name: 'compared',
          holds: compared >= comparisons ? true : undefined,
          text: `${count(compared)} of at least ${count(comparisons)}`,
        }
      : {
          name: 'answers in this step',
          holds: answered >= requests ? true : undefined,
          text: `${count(answered)} of at least ${count(requests)}`,
        },
    {
      name: 'failures',
      holds: answered + failed === 0 ? undefined : failed / (answered + failed) <= errors,
      text: `${count(failed)} of ${count(answered + failed)}; ${percent(errors)} more than of version ${from} may`,
    },
    {
      name: 'p99',
      holds: p99 === 0 || reference === 0 ? undefined : p99 <= reference * ratio + 5,
      text:
        p99 === 0
          ? 'not known yet'
          : `${ms(p99)} ms; up to ${ratio} × that of version ${from}${reference === 0 ? '' : `, ${ms(reference)} ms`}`,
    },
  ];
  return h`<ul class="asks">${asks.map(({ name, holds, text }) => h`<li>${holds === undefined ? mark('ahead', 'busy') : holds ? mark('yes', 'ready') : mark('failed')}<span><b>${name}</b><span class="hidden">${holds === undefined ? ', not known yet' : holds ? ', holds' : ', does not hold'}</span> ${text}</span></li>`)}</ul>`;
}

/** @param {Rollout} rollout */
function history({ events }) {
  if (events.length === 0) return h``;
  return h`<details><summary>What happened (${events.length})</summary><ol class="log">${events.toReversed().map(({ at_ms, text }) => h`<li><time>${new Date(Number(at_ms)).toLocaleString('en-GB')}</time> ${text}</li>`)}</ol></details>`;
}

/** Shadows that no rollout made. @param {ModelSnapshot} model */
export function shadowCard({ shadow, shadows, rollout }) {
  if (shadows.length === 0 || rollout?.in_force === true) return h``;
  const head =
    shadow === null
      ? 'Copies of requests were compared.'
      : `${percent(shadow.share)} of the requests are copied to version ${shadow.version}.`;
  return h`<section class="card" aria-labelledby="shadow"><h2 id="shadow">Shadow</h2><p>${head}</p><ul class="asks">${shadows.map(({ primary, shadow: version, equal, different, incomparable, rows_agreeing: same, rows_disagreeing: other, primary_mean_ms: before, shadow_mean_ms: after }) => h`<li>${mark(other + incomparable === 0 ? 'yes' : 'care', other + incomparable === 0 ? 'ready' : 'care')}<span><b>version ${version} beside ${primary}</b> ${count(equal)} equal, ${count(different)} different, ${count(incomparable)} not comparable; the largest output is the same in ${percent(same / (same + other || 1))} of ${count(same + other)} rows; ${ms(after)} ms beside ${ms(before)} ms</span></li>`)}</ul></section>`;
}
