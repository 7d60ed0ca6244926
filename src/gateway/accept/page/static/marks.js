/** Marks have a form and a word beside them; their colour only helps. */

import { h, Markup } from './markup.js';

const FORMS = {
  ready: '<circle cx="6" cy="6" r="5" fill="currentColor"/>',
  failed: '<path d="M2 2l8 8M10 2l-8 8" stroke="currentColor" stroke-width="2.4" stroke-linecap="round"/>',
  busy: '<circle class="turning" cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="20 9"/>',
  care: '<path d="M6 1l5.4 9.6H.6z" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"/><path d="M6 4.6v2.6M6 8.6v.6" stroke="currentColor" stroke-width="1.4"/>',
  now: '<circle cx="6" cy="6" r="4.4" fill="none" stroke="currentColor" stroke-width="2.4"/>',
  past: '<circle cx="6" cy="6" r="6" fill="currentColor"/><path class="tick" d="M3.2 6.2l2 2 3.6-4" stroke-width="1.5" fill="none"/>',
  ahead: '<circle cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" stroke-width="1.4"/>',
  yes: '<path d="M1.5 6.5l3 3 6-7" stroke="currentColor" stroke-width="2" fill="none" stroke-linecap="round"/>',
  standby: '<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="2"/>',
};

/** @typedef {keyof typeof FORMS} MarkKind */

/**
 * @param {MarkKind} kind
 * @param {string} [tone]
 */
export function mark(kind, tone = kind) {
  return new Markup(`<svg class="mark ${tone}" viewBox="0 0 12 12" aria-hidden="true">${FORMS[kind]}</svg>`);
}

/**
 * @param {MarkKind} kind
 * @param {string} word
 */
export function state(kind, word) {
  return h`<span class="state ${kind}">${mark(kind)}<b>${word}</b></span>`;
}

const COPY = new Markup(
  '<svg width="13" height="13" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true"><rect x="5.5" y="5.5" width="8.5" height="8.5" rx="1.5"/><path d="M10.5 5.5V3.5A1.5 1.5 0 0 0 9 2H3.5A1.5 1.5 0 0 0 2 3.5V9a1.5 1.5 0 0 0 1.5 1.5h2"/></svg>',
);

/**
 * A button that copies a text.
 * @param {string} text
 * @param {string} name of what is copied
 */
export function copyButton(text, name) {
  return h`<button class="copy" type="button" data-copy="${text}" aria-label="Copy ${name}" title="Copy ${name}">${COPY}</button>`;
}

/**
 * The state of a version in a mark and a word.
 * @param {import('../snapshot.ts').VersionLive} live
 * @param {boolean} isAsked whether it gets requests that name no version
 */
export function versionState({ state: name, down }, isAsked) {
  if (name === 'READY') return isAsked ? state('ready', 'ready') : state('standby', 'ready, unasked');
  if (down) return state('failed', 'no process');
  if (name === 'UNAVAILABLE') return state('failed', 'unavailable');
  return state('busy', name.toLowerCase());
}
