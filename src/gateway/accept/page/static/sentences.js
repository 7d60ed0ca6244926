/** The first sentence of the page, and of a model: what is wrong and where, made from the snapshot. */

/** @import { ModelSnapshot, ServerSnapshot, VersionSnapshot } from '../snapshot.ts' */

import { busiest } from './document.js';
import { clock, count, listed, ms, percent, plural, rate } from './figures.js';
import { failures, refusals } from './words.js';

/**
 * @typedef {object} Verdict
 * @property {'good' | 'warn' | 'bad' | 'wait'} tone
 * @property {string} lead what is the matter
 * @property {string} rest what follows from it
 */

/** Share of the requests from which on refusals and failures come first. */
const NOTABLE = 0.01;
/** Share of the time from which on the event loop of the gateway is the bottleneck. */
const BUSY = 0.9;

/**
 * @param {ServerSnapshot} snapshot
 * @returns {Verdict}
 */
export function serverVerdict(snapshot) {
  const { server, models } = snapshot;
  const versions = models.flatMap((model) => model.versions.map((version) => ({ model, version })));
  if (server.phase === 'draining') {
    const left = server.in_flight_requests;
    const rest =
      left === 0
        ? 'Nothing is on its way any more.'
        : `${plural(left, 'request')} ${left === 1 ? 'is' : 'are'} still on the way.`;
    return { tone: 'warn', lead: 'Draining: the server answers what it has accepted, then ends.', rest };
  }
  if (models.length === 0) {
    return {
      tone: 'wait',
      lead: 'No models yet.',
      rest: 'The server is up and waits for one. Nothing has to be configured.',
    };
  }
  const broken = brokenOf(models);
  if (server.phase === 'loading') {
    const ready = versions.filter(({ version }) => version.live.state === 'READY').length;
    const lead = `Loading: ${ready} of ${plural(versions.length, 'version')} ${ready === 1 ? 'is' : 'are'} ready.`;
    const failed = broken.length === 0 ? '' : ` ${listed(broken)} ${broken.length === 1 ? 'does' : 'do'} not load.`;
    return {
      tone: 'wait',
      lead,
      rest: `Versions that are ready answer already; the server as a whole is ready when all are.${failed}`,
    };
  }
  if (broken.length > 0 || server.obstacles.length > 0) return brokenVerdict(snapshot, broken);
  return loadVerdict(snapshot);
}

/**
 * @param {ServerSnapshot} snapshot
 * @param {readonly string[]} broken
 * @returns {Verdict}
 */
function brokenVerdict({ server, models }, broken) {
  const isReady = server.obstacles.length === 0;
  const what = `${listed(broken)} ${broken.length === 1 ? 'does' : 'do'} not answer`;
  const cause = broken.length > 0 ? what : (server.obstacles[0] ?? '');
  const lead = isReady ? `${what.charAt(0).toUpperCase()}${what.slice(1)}.` : `Not ready, because ${cause}.`;
  const others = models.filter(
    ({ versions }) => versions.length > 0 && versions.every(({ live }) => live.state === 'READY'),
  );
  if (others.length === 0) return { tone: 'bad', lead, rest: 'Nothing else is served.' };
  const answered = answeredBy(others);
  const them = others.length === 1 ? `${others[0]?.name} answers` : `The other ${count(others.length)} models answer`;
  return {
    tone: isReady ? 'warn' : 'bad',
    lead,
    rest: `${them} ${plural(answered, 'request')} a second${slowest(others)}.`,
  };
}

/**
 * @param {ServerSnapshot} snapshot
 * @returns {Verdict}
 */
function loadVerdict({ server, models }) {
  const answered = answeredBy(models);
  const refused = sumOf(models, ({ figures }) => figures?.refused_per_s ?? 0);
  const failed = sumOf(models, ({ figures }) => figures?.failed_per_s ?? 0);
  const came = answered + refused + failed;
  const them = models.length === 1 ? `${models[0]?.name} answers` : `The ${count(models.length)} models answer`;
  const rest = `${them} ${plural(answered, 'request')} a second${slowest(models)}.`;
  if (came > 0 && refused / came >= NOTABLE) {
    const lead = `Overloaded: ${rate(refused)} of ${rate(came)} requests a second are refused.`;
    const { model, version } = worst(models, ({ figures }) => figures?.refused_per_s ?? 0);
    const why = version === undefined ? undefined : refusals(version)[0];
    return {
      tone: 'warn',
      lead,
      rest: why === undefined ? rest : `Most of them at ${model?.name}, because ${why.words}. ${rest}`,
    };
  }
  if (came > 0 && failed / came >= NOTABLE) {
    const { model, version } = worst(models, ({ figures }) => figures?.failed_per_s ?? 0);
    const why = version === undefined ? undefined : failures(version)[0];
    const lead = `${rate(failed)} of ${rate(came)} requests a second fail${model === undefined ? '' : `, most at ${model.name}`}.`;
    return { tone: 'warn', lead, rest: why === undefined ? rest : `Most of them ${why.words}. ${rest}` };
  }
  if (server.event_loop_busy >= BUSY) {
    const lead = `The gateway itself is the bottleneck: it is busy ${percent(server.event_loop_busy)} of the time.`;
    return { tone: 'warn', lead, rest: `${rest} More pods help, more cores do not.` };
  }
  if (came === 0) {
    const all = models.length === 1 ? `${models[0]?.name} is` : `all ${count(models.length)} models are`;
    return { tone: 'good', lead: `Ready: ${all} loaded.`, rest: 'Nothing was asked in the last half minute.' };
  }
  if (models.length === 1) return { tone: 'good', lead: rest, rest: '' };
  return { tone: 'good', lead: `All well: ${plural(answered, 'answer')} a second.`, rest };
}

/**
 * @param {number} sinceMs when the server answered last
 * @returns {Verdict}
 */
export function silenceVerdict(sinceMs) {
  const rest = 'What is below is from then. The server is asked again every few seconds.';
  return { tone: 'bad', lead: `No answer from the server since ${clock(sinceMs)}.`, rest };
}

/**
 * @param {ModelSnapshot} model
 * @returns {Verdict}
 */
export function modelVerdict(model) {
  if (model.problem !== null) return { tone: 'bad', lead: `${model.name} cannot be loaded.`, rest: model.problem };
  const bad = model.versions.filter(({ live }) => live.state === 'UNAVAILABLE');
  const [first] = bad;
  if (first !== undefined && bad.length === model.versions.length) {
    return {
      tone: 'bad',
      lead: `${model.name} does not answer.`,
      rest: `Version ${first.version}: ${first.live.reason}`,
    };
  }
  if (model.versions.every(({ live }) => live.state !== 'READY')) {
    return {
      tone: 'wait',
      lead: `${model.name} is being loaded.`,
      rest: 'It is loaded, warmed up, and its rows are proven independent before it answers.',
    };
  }
  const [busy] = busiest(model);
  const refused = sumOf([model], ({ figures }) => figures?.refused_per_s ?? 0);
  const answered = answeredBy([model]);
  const also = first === undefined ? '' : ` Version ${first.version} does not answer: ${first.live.reason}`;
  const latency = busy?.figures?.latency;
  if (busy === undefined || latency === undefined || latency === null) {
    const tone = first === undefined ? 'good' : 'warn';
    return { tone, lead: `Ready, and nothing was asked of it in the last minute.`, rest: also.trim() };
  }
  const speed = `half of them within ${ms(latency.p50)} ms and 99 of 100 within ${ms(latency.p99)} ms`;
  const lead =
    refused / (answered + refused || 1) >= NOTABLE
      ? `${rate(refused)} of ${rate(answered + refused)} requests a second are refused, because ${refusals(worst([model], ({ figures }) => figures?.refused_per_s ?? 0).version ?? busy)[0]?.words ?? 'there is no room'}.`
      : `${rate(answered)} answers a second, ${speed}.`;
  const tone = first !== undefined || lead.includes('refused') ? 'warn' : 'good';
  return { tone, lead, rest: `${whereTheTimeGoes(busy)}${also}` };
}

/** @param {VersionSnapshot} version */
function whereTheTimeGoes({ figures, batching }) {
  const stages = figures?.stages;
  if (figures === null || stages === null || stages === undefined) return '';
  const whole = stages.waiting + stages.transfer + stages.compute || 1;
  const [most] = Object.entries({
    waiting: stages.waiting,
    'transfer to the model': stages.transfer,
    computing: stages.compute,
  }).sort(([, a], [, b]) => b - a);
  const batches = figures.sizes.reduce((sum, [, number]) => sum + number, 0);
  const rows = batches === 0 ? 0 : figures.rows / batches;
  const share = `The largest part of the time, ${percent((most?.[1] ?? 0) / whole)}, is ${most?.[0]}`;
  if (batching !== null && !batching.enabled) return `${share}; each request runs by itself.`;
  return `${share}; a batch holds ${rows.toFixed(1)} rows on average.`;
}

/** @param {readonly ModelSnapshot[]} models */
export function brokenOf(models) {
  return models.flatMap((model) => [
    ...(model.problem === null ? [] : [model.name]),
    ...model.versions
      .filter(({ live }) => live.state === 'UNAVAILABLE')
      .map(({ version }) => `${model.name} version ${version}`),
  ]);
}

/**
 * `; the slowest is read_line, 99 of 100 within 229 ms`, where there is a choice.
 * @param {readonly ModelSnapshot[]} models
 */
function slowest(models) {
  const asked = models.flatMap((model) => {
    const latency = busiest(model)[0]?.figures?.latency;
    return latency === undefined || latency === null ? [] : [{ name: model.name, p99: latency.p99 }];
  });
  const [first] = asked.sort((a, b) => b.p99 - a.p99);
  if (first === undefined) return '';
  const within = `99 of 100 within ${ms(first.p99)} ms`;
  return asked.length > 1 ? `; the slowest is ${first.name}, ${within}` : `, ${within}`;
}

/** @param {readonly ModelSnapshot[]} models */
export function answeredBy(models) {
  return sumOf(models, ({ figures }) => figures?.answered_per_s ?? 0);
}

/**
 * @param {readonly ModelSnapshot[]} models
 * @param {(version: VersionSnapshot) => number} read
 */
function sumOf(models, read) {
  return models.flatMap(({ versions }) => versions).reduce((sum, version) => sum + read(version), 0);
}

/**
 * @param {readonly ModelSnapshot[]} models
 * @param {(version: VersionSnapshot) => number} read
 * @returns {{ readonly model?: ModelSnapshot, readonly version?: VersionSnapshot }}
 */
function worst(models, read) {
  const all = models.flatMap((model) => model.versions.map((version) => ({ model, version })));
  return all.sort((a, b) => read(b.version) - read(a.version))[0] ?? {};
}
