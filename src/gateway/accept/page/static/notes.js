/** What happened lately, newest first: one line each, with the model that it leads to. */

/** @import { EventSnapshot, ModelSnapshot, ServerSnapshot } from '../snapshot.ts' */

import { count, percent, span } from './figures.js';
import { refusals } from './words.js';

/**
 * @typedef {object} Note
 * @property {'failed' | 'care' | 'now'} mark
 * @property {string} model
 * @property {string} text
 * @property {number | null} at `null`: it still is so
 */

const MOST = 6;

/**
 * @param {ServerSnapshot} snapshot
 * @returns {readonly Note[]}
 */
export function notesOf(snapshot) {
  const { models, events } = snapshot;
  const lasting = models.flatMap((model) => [...brokenNotes(model), ...rolloutNotes(model)]);
  const past = [
    ...events.flatMap((event) => eventNotes(event, snapshot)),
    ...models.flatMap((model) => refusalNotes(model, snapshot)),
  ];
  return [...lasting, ...past.sort((a, b) => (b.at ?? 0) - (a.at ?? 0))].slice(0, MOST);
}

/**
 * @param {ModelSnapshot} model
 * @returns {Note[]}
 */
function brokenNotes({ name: model, problem, versions }) {
  if (problem !== null) return [{ mark: 'failed', model, text: problem, at: null }];
  return versions
    .filter(({ live }) => live.state === 'UNAVAILABLE')
    .map(({ version, live }) => ({
      mark: 'failed',
      model,
      text: `version ${version} does not answer: ${live.reason}`,
      at: null,
    }));
}

/**
 * @param {ModelSnapshot} model
 * @returns {Note[]}
 */
function rolloutNotes({ name: model, rollout }) {
  if (rollout === null || rollout.stage === 'STAGE_PROMOTED' || rollout.stage === 'STAGE_ROLLED_BACK') return [];
  const { from, to, percent: share, detail } = rollout;
  return [
    { mark: 'now', model, text: `version ${to} takes over from ${from}: it answers ${share} %; ${detail}`, at: null },
  ];
}

/**
 * @param {EventSnapshot} event
 * @param {ServerSnapshot} snapshot
 * @returns {Note[]}
 */
function eventNotes(event, { models, events }) {
  const { kind, model, version, text, at_ms: at, repeated, back_after_ms: back } = event;
  const state = models.find(({ name }) => name === model)?.versions.find((each) => each.version === version)?.live;
  switch (kind) {
    case 'runner_ended': {
      const again =
        repeated === null || repeated === 0
          ? ''
          : `; ${count(repeated)} ${repeated === 1 ? 'request' : 'requests'} ran again`;
      const replaced =
        back === null ? ', and is started again' : `, and was replaced within ${span(Math.max(1000, back))}`;
      return [
        { mark: 'care', model, text: `the process of version ${version} ended (${text})${replaced}${again}`, at },
      ];
    }
    case 'start_failed':
      return [{ mark: 'care', model, text: `version ${version} was not started again: ${text}`, at }];
    case 'breaker': {
      if (text !== 'open') return [];
      const later = events.find(
        (other) => other.kind === 'breaker' && other.model === model && other.version === version && other.at_ms > at,
      );
      return [
        {
          mark: 'care',
          model,
          text: `the breaker of version ${version} opened${later === undefined ? '' : ', and closed again'}`,
          at,
        },
      ];
    }
    case 'unavailable':
      // What does not answer now has a note of its own.
      return state?.state === 'READY'
        ? [{ mark: 'care', model, text: `version ${version} did not answer for a while: ${text}`, at }]
        : [];
    case 'rollout':
      return event.stage === 'rolled_back' || event.stage === 'promoted'
        ? [{ mark: event.stage === 'promoted' ? 'now' : 'care', model, text: `version ${version}: ${text}`, at }]
        : [];
  }
}

/**
 * @param {ModelSnapshot} model
 * @param {ServerSnapshot} snapshot
 * @returns {Note[]}
 */
function refusalNotes({ name: model, versions }, { server }) {
  const points = versions.flatMap(({ figures }) => figures?.points ?? []);
  const refused = points.reduce((sum, point) => sum + point[2], 0);
  const all = points.reduce((sum, [, answered, turnedAway, failed]) => sum + answered + turnedAway + failed, 0);
  if (refused < 10 && refused < all * 0.01) return [];
  if (refused === 0) return [];
  const worst = points.reduce((most, point) => (point[2] > most[2] ? point : most));
  const why = versions.flatMap((version) => refusals(version)).sort((a, b) => b.number - a.number)[0];
  const peak = (worst[1] + worst[2] + worst[3]) / (server.point_ms / 1000);
  const text = `${count(refused)} of ${count(all)} requests (${percent(refused / all)}) were refused${why === undefined ? '' : `, because ${why.words}`}; at most ${count(peak)} a second came`;
  return [{ mark: 'care', model, text, at: worst[0] * server.point_ms }];
}
