/** The answer to a request of the form: classes by their share, texts and numbers as they are, an error in its words. */

/** @import { ModelSnapshot } from '../snapshot.ts' */

import { ms, percent } from './figures.js';
import { h } from './markup.js';

/**
 * @typedef {object} InferAnswer
 * @property {string} [error]
 * @property {string} [model_version]
 * @property {readonly { readonly name: string, readonly datatype: string, readonly shape: readonly number[], readonly data: readonly (number | string | boolean)[] }[]} [outputs]
 */

const MOST_CLASSES = 5;
const MOST_VALUES = 24;

/**
 * @param {ModelSnapshot} model
 * @param {InferAnswer} answer
 * @param {{ readonly tookMs: number, readonly picture?: string | undefined }} asked
 */
export function answerView(model, answer, { tookMs, picture }) {
  const image = picture === undefined ? '' : h`<img alt="What was asked" src="${picture}">`;
  if (answer.error !== undefined) return h`<div class="result">${image}<p class="failed">${answer.error}</p></div>`;
  const outputs = (answer.outputs ?? []).map(
    (output, at) =>
      h`<div class="output">${(answer.outputs?.length ?? 0) > 1 && h`<h3>${output.name}</h3>`}${at === 0 || output.data.length <= MOST_VALUES ? valuesView(model, output) : h`<p>${output.datatype}[${output.shape.join('×')}]</p>`}</div>`,
  );
  return h`<div class="result">${image}<div>${outputs}</div><p>Version ${answer.model_version}, ${ms(tookMs)} ms from here and back.</p></div>`;
}

/**
 * @param {ModelSnapshot} model
 * @param {NonNullable<InferAnswer['outputs']>[number]} output
 */
function valuesView(model, { name, data, datatype, shape }) {
  const labels = model.labels[name];
  const numbers = data.filter((value) => typeof value === 'number');
  if (labels !== undefined && labels.length === numbers.length && numbers.length > 1)
    return classesView(labels, numbers);
  const shown = data
    .slice(0, MOST_VALUES)
    .map((value) => (typeof value === 'number' ? String(Number(value.toPrecision(5))) : String(value)));
  const more = data.length > MOST_VALUES ? ` … (${datatype}[${shape.join('×')}])` : '';
  return h`<p class="${data.length === 1 ? 'big' : 'mono'}">${shown.join(', ')}${more}</p>`;
}

/**
 * @param {readonly string[]} labels
 * @param {readonly number[]} values
 */
function classesView(labels, values) {
  const ranked = values
    .map((value, at) => ({ value, label: labels[at] ?? String(at) }))
    .sort((a, b) => b.value - a.value)
    .slice(0, MOST_CLASSES);
  const isShare = values.every((value) => value >= 0 && value <= 1);
  const text = (/** @type {number} */ value) => (isShare ? percent(value) : String(Number(value.toPrecision(3))));
  const [W, line, left] = [240, 18, 86];
  const most = Math.max(...ranked.map(({ value }) => Math.abs(value)), 1e-9);
  const rows = ranked.map(({ value, label }, at) => {
    const width = Math.max(1, (Math.max(0, value) / (isShare ? 1 : most)) * (W - left - 48));
    return h`<text class="${at === 0 && 'label'}" x="0" y="${at * line + 12}">${label.length > 13 ? `${label.slice(0, 12)}…` : label}</text><rect class="bar ${at === 0 ? 'c1' : 'c0 light'}" x="${left}" y="${at * line + 3}" width="${width}" height="10" rx="1"/><text x="${left + 6 + width}" y="${at * line + 12}">${text(value)}</text>`;
  });
  return h`<svg viewBox="0 0 ${W} ${ranked.length * line}" role="img" aria-label="${ranked.map(({ value, label }) => `${label} ${text(value)}`).join(', ')}">${rows}</svg>`;
}
