/** Markup whose values are escaped: names of models and reasons are other people's text. */

/** @typedef {Markup | string | number | boolean | null | undefined | readonly Part[]} Part */

export class Markup {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }
}

/** @type {Readonly<Record<string, string>>} */
const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** @param {string} text */
export function escaped(text) {
  return text.replace(/[&<>"']/g, (sign) => ESCAPES[sign] ?? sign);
}

/**
 * @param {Part} part
 * @returns {string}
 */
function textOf(part) {
  if (part === undefined || part === null || part === false || part === true) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'number') return String(Math.round(part * 100) / 100);
  return typeof part === 'string' ? escaped(part) : part.map(textOf).join('');
}

/**
 * A template. Numbers are rounded to two places.
 * @param {TemplateStringsArray} parts
 * @param {...Part} values
 */
export function h(parts, ...values) {
  return new Markup(parts.map((part, at) => (at === 0 ? part : textOf(values[at - 1]) + part)).join(''));
}
