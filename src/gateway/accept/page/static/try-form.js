/** A form to ask a model, made from its metadata: pictures, texts, numbers, or JSON for everything else. */

/** @import { ModelSnapshot } from '../snapshot.ts' */

import { exampleInputs } from './ask.js';
import { h } from './markup.js';

/** More numbers than this are JSON. */
const MOST_FIELDS = 16;

/**
 * @typedef {object} ImagePlan
 * @property {string} name of the input
 * @property {string} datatype
 * @property {readonly number[]} shape
 * @property {number} height
 * @property {number} width
 * @property {number} channels 1 or 3
 * @property {'first' | 'last'} order where the channels lie
 */

/**
 * How a picture becomes the only input; `undefined` where that is none.
 * @param {ModelSnapshot} model
 * @returns {ImagePlan | undefined}
 */
export function imagePlan(model) {
  const inputs = exampleInputs(model);
  const [input] = inputs;
  if (input === undefined || inputs.length !== 1 || !['UINT8', 'FP32'].includes(input.datatype)) return undefined;
  const sizes = input.shape.length === 4 && input.shape[0] === 1 ? input.shape.slice(1) : input.shape;
  const [a = 0, b = 0, c = 0] = sizes;
  if (sizes.length !== 3) return undefined;
  const known = { name: input.name, datatype: input.datatype, shape: input.shape };
  if ((a === 3 || a === 1) && b > 3 && c > 3) return { ...known, channels: a, height: b, width: c, order: 'first' };
  return (c === 3 || c === 1) && a > 3 && b > 3
    ? { ...known, channels: c, height: a, width: b, order: 'last' }
    : undefined;
}

/**
 * @param {ModelSnapshot} model
 * @returns {'image' | 'fields' | 'json'}
 */
export function formKind(model) {
  if (imagePlan(model) !== undefined) return 'image';
  const elements = exampleInputs(model).map(({ shape }) => shape.reduce((all, size) => all * size, 1));
  const all = elements.reduce((sum, size) => sum + size, 0);
  return all > 0 && all <= MOST_FIELDS ? 'fields' : 'json';
}

/** @param {ModelSnapshot} model */
export function tryCard(model) {
  const kind = formKind(model);
  const plan = imagePlan(model);
  const form =
    kind === 'image' && plan !== undefined ? imageForm(plan) : kind === 'fields' ? fieldForm(model) : jsonForm(model);
  return h`<section class="card" aria-labelledby="try"><h2 id="try">Try it</h2>${form}<div id="result" aria-live="polite"></div></section>`;
}

/** @param {ImagePlan} plan */
function imageForm({ width, height, datatype }) {
  const scaled = datatype === 'FP32' ? ', from 0 to 1' : '';
  return h`<p>An image of any size; it becomes ${width} × ${height} pixels${scaled}</p><label class="drop" id="drop"><input class="hidden" type="file" accept="image/*" id="file"><span><b>Drop an image</b>, paste one, or choose a file</span></label>`;
}

/** @param {ModelSnapshot} model */
function fieldForm(model) {
  const fields = exampleInputs(model).flatMap(({ name, datatype, shape, value }) => {
    const elements = shape.reduce((all, size) => all * size, 1);
    return Array.from({ length: elements }, (_, at) => {
      const label = elements === 1 ? name : `${name}[${at}]`;
      const field =
        datatype === 'BYTES'
          ? h`<textarea rows="2" data-input="${name}"></textarea>`
          : h`<input inputmode="decimal" data-input="${name}" value="${datatype === 'BOOL' ? (value === 0 ? 'false' : 'true') : value}">`;
      return h`<label class="field"><span>${label} <span class="soft">${datatype}</span></span>${field}</label>`;
    });
  });
  return h`<form id="ask-form"><div class="${fields.length > 2 && 'numbers'}">${fields}</div><button class="send" type="submit">Ask</button></form>`;
}

/** @param {ModelSnapshot} model */
function jsonForm(model) {
  const inputs = exampleInputs(model).map(({ name, datatype, shape, value }) => {
    const elements = shape.reduce((all, size) => all * size, 1);
    const element = datatype === 'BYTES' ? 'a' : datatype === 'BOOL' ? value !== 0 : value;
    return { name, datatype, shape, data: elements <= 5_000 ? Array.from({ length: elements }, () => element) : [] };
  });
  return h`<p>The body of <code>/infer</code>, as JSON</p><form id="ask-form"><label class="field"><span class="hidden">Request as JSON</span><textarea class="mono" id="json" rows="8" spellcheck="false">${JSON.stringify({ inputs })}</textarea></label><button class="send" type="submit">Ask</button></form>`;
}

/**
 * The body of a request from the fields of the form, in their order.
 * @param {ModelSnapshot} model
 * @param {readonly { readonly name: string, readonly value: string }[]} fields
 * @throws Error with the field that holds no value of its datatype
 */
export function fieldBody(model, fields) {
  const inputs = exampleInputs(model).map(({ name, datatype, shape }) => {
    const data = fields.filter((field) => field.name === name).map(({ value }) => elementOf(name, datatype, value));
    return { name, datatype, shape, data };
  });
  return JSON.stringify({ inputs });
}

/**
 * @param {string} name
 * @param {string} datatype
 * @param {string} value
 */
function elementOf(name, datatype, value) {
  if (datatype === 'BYTES') return value;
  if (datatype === 'BOOL') {
    if (['true', '1'].includes(value.trim())) return true;
    if (['false', '0'].includes(value.trim())) return false;
    throw new Error(`${name} is '${value}', expected true or false`);
  }
  const number = Number(value);
  if (value.trim() === '' || Number.isNaN(number))
    throw new Error(`${name} is '${value}', expected a number (${datatype})`);
  if (!datatype.startsWith('FP') && !datatype.startsWith('BF') && !Number.isInteger(number))
    throw new Error(`${name} is '${value}', expected a whole number (${datatype})`);
  return number;
}

/**
 * The body of a request with a picture.
 * @param {ImagePlan} plan
 * @param {ArrayLike<number>} rgba four bytes a pixel, row by row
 */
export function imageBody({ name, datatype, shape, height, width, channels, order }, rgba) {
  const pixels = height * width;
  const data = new Array(pixels * channels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const [r = 0, g = 0, b = 0] = [rgba[pixel * 4], rgba[pixel * 4 + 1], rgba[pixel * 4 + 2]];
    // ITU-R BT.601, as image libraries turn colours grey.
    const values = channels === 3 ? [r, g, b] : [Math.round(0.299 * r + 0.587 * g + 0.114 * b)];
    for (const [channel, value] of values.entries()) {
      const at = order === 'first' ? channel * pixels + pixel : pixel * channels + channel;
      data[at] = datatype === 'FP32' ? Number((value / 255).toFixed(5)) : value;
    }
  }
  return JSON.stringify({ inputs: [{ name, datatype, shape, data }] });
}
