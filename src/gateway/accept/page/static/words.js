/** Words for the closed sets of the server: why requests were refused, why batches were sent. */

/** @import { ModelSnapshot, VersionSnapshot } from '../snapshot.ts' */

/** @type {Readonly<Record<string, string>>} */
const REFUSALS = {
  queue_full: 'their queue was full',
  rate_limited: 'their tenant has had its share',
  cannot_meet_deadline: 'they could not be answered in time',
  deadline_too_short: 'their deadline is shorter than a run',
  overloaded: 'the server was full',
  breaker_open: 'the breaker was open',
  model_not_ready: 'the model was not ready',
  draining: 'the server was ending',
};

/** @type {Readonly<Record<string, string>>} */
const FAILURES = {
  deadline_exceeded: 'ran out of time',
  runner_lost: 'lost their process',
  runner_killed_twice: 'ended their process twice',
  model_failed: 'failed in the code of their model',
  internal: 'failed inside',
  load_failed: 'could not load their model',
};

/** As small print under a number. @type {Readonly<Record<string, string>>} */
const SHORT = {
  queue_full: 'queue full',
  rate_limited: 'tenant rate',
  cannot_meet_deadline: 'too late',
  deadline_too_short: 'too short',
  overloaded: 'server full',
  deadline_exceeded: 'out of time',
  runner_lost: 'process lost',
  runner_killed_twice: 'killed twice',
  model_failed: 'code failed',
};

/** @type {Readonly<Record<string, string>>} */
const SENT = {
  full: 'no further row fits',
  preferred: 'it had a preferred size',
  idle: 'an instance was free',
  delay: 'its queue delay was over',
  deadline: 'one more row would have been late',
  alone: 'it ran again after a failure',
};

/**
 * The part of the outcomes that has words in `words`, most first.
 * @param {Readonly<Record<string, number>>} outcomes
 * @param {Readonly<Record<string, string>>} words
 */
function ranked(outcomes, words) {
  return Object.entries(outcomes)
    .filter(([reason]) => words[reason] !== undefined)
    .map(([reason, number]) => ({
      reason,
      number,
      short: SHORT[reason] ?? reason.replaceAll('_', ' '),
      words: words[reason] ?? reason,
    }))
    .sort((a, b) => b.number - a.number);
}

/** @param {VersionSnapshot} version */
export function refusals({ figures }) {
  return ranked(figures?.outcomes ?? {}, REFUSALS);
}

/** @param {VersionSnapshot} version */
export function failures({ figures }) {
  return ranked(figures?.outcomes ?? {}, FAILURES);
}

/** @param {VersionSnapshot} version */
export function sendReasons({ figures }) {
  const all = ranked(figures?.sent ?? {}, SENT);
  const total = all.reduce((sum, { number }) => sum + number, 0);
  return all.map((each) => ({ ...each, share: each.number / total }));
}

/**
 * How a version batches, and how that is known: a word, and the proof.
 * @param {VersionSnapshot} version
 * @returns {{ readonly short: string, readonly proof: string }}
 */
export function batchingWords({ batching }) {
  if (batching === null) return { short: '', proof: '' };
  const check = batching.row_check;
  if (!batching.enabled) return { short: 'one by one', proof: check?.reason ?? batching.reason ?? '' };
  const short = `up to ${batching.max_rows} rows`;
  if (check?.result !== 'independent' || check.proof === null)
    return { short, proof: check?.reason ?? 'as configured' };
  const { rows_compared, largest_difference } = check.proof;
  const differed =
    largest_difference === 0 ? 'gave the same bits' : `differed by ${largest_difference} of the largest value at most`;
  return { short, proof: `${rows_compared} unlike rows, run together and apart, ${differed}` };
}

/**
 * `image u8[3×32×32] → probabilities f32[10]`
 * @param {ModelSnapshot} model
 */
export function signatureOf({ inputs, outputs, batched }) {
  if (inputs.length === 0) return '';
  const side = (/** @type {ModelSnapshot['inputs']} */ tensors) =>
    tensors.map(({ name, datatype, shape }) => {
      const type = datatype
        .toLowerCase()
        .replace('uint', 'u')
        .replace('bytes', 'str')
        .replace('fp', 'f')
        .replace('int', 'i');
      const row = batched ? shape.slice(1) : shape;
      const sizes = row.map((size) => (size < 0 ? '·' : size)).join('×');
      return `${name} ${type}${sizes === '' ? '' : `[${sizes}]`}`;
    });
  return `${side(inputs).join(', ')} → ${side(outputs).join(', ')}`;
}
