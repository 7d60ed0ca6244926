/**
 * The log. Every field of a line is named here, so that nothing of a request but its outcome gets into it; every text is bounded.
 * `access-log.ts` and `audit-log.ts` write the other lines.
 */

import { inspect } from 'node:util';
import { boundedText, type Reason, type StatusName } from '../errors.ts';
import { wholeCallOf } from './caller.ts';
import { type BreakerState, type CallEnded, diagnostics, type ModelRef, type ModelState } from './diagnostics.ts';
import type { LogLines } from './log-lines.ts';
import type { LogLevel, LogSettings } from './log-settings.ts';
import type { ObservedCall } from './observed-call.ts';
import { spanContextOf } from './traces.ts';

/**
 * A caller's mistake and a shed request are for debugging: metrics count them, and in an overload a line for each would make
 * it worse. What the operator has to look into is a warning or an error.
 */
const LEVEL_OF_REASON = {
  malformed_message: 'debug',
  limit_exceeded: 'debug',
  invalid_request: 'debug',
  invalid_data: 'debug',
  model_not_found: 'debug',
  region_not_found: 'debug',
  model_failed: 'debug',
  model_not_ready: 'debug',
  load_failed: 'debug',
  control_disabled: 'debug',
  rollout_refused: 'debug',
  draining: 'debug',
  breaker_open: 'debug',
  runner_lost: 'warn',
  runner_killed_twice: 'error',
  queue_full: 'debug',
  rate_limited: 'debug',
  cannot_meet_deadline: 'debug',
  deadline_too_short: 'debug',
  overloaded: 'debug',
  deadline_exceeded: 'debug',
  permission_denied: 'warn',
  cancelled: 'debug',
  unimplemented: 'debug',
  internal: 'error',
} as const satisfies Record<Reason, LogLevel>;

const LEVEL_OF_MODEL_STATE = {
  LOADING: 'info',
  READY: 'info',
  UNLOADING: 'info',
  UNAVAILABLE: 'warn',
} as const satisfies Record<ModelState, LogLevel>;
const LEVEL_OF_BREAKER = { closed: 'info', 'half-open': 'info', open: 'warn' } as const satisfies Record<
  BreakerState,
  LogLevel
>;

const MAX_CAUSE = 4_096;
/** Nested causes that are logged. */
const MAX_CAUSES = 3;

/** Logs until the returned function is called. */
export function startLog(lines: LogLines): () => void {
  const { settings } = lines;
  const log: Write = (level, fields, text) => lines.write(level, fields, text);
  const unsubscribe = [
    diagnostics.notice.subscribe(({ level, text, cause }) => {
      log(level, { cause: describeCause(cause) }, boundedText(text));
    }),
    diagnostics.modelChanged.subscribe(({ model, state, detail, isIntended }) => {
      log(
        isIntended === true ? 'info' : LEVEL_OF_MODEL_STATE[state],
        { ...labelsOf(model), state },
        boundedText(`model ${state}: ${detail}`),
      );
    }),
    diagnostics.acceptorEnded.subscribe(({ acceptor, cause, lostCalls }) => {
      const text = `acceptor ${acceptor} ended, with its connections and ${lostCalls} calls, and is replaced: ${cause}`;
      log('error', { acceptor, lost_calls: lostCalls }, boundedText(text));
    }),
    diagnostics.runnerEnded.subscribe(({ runner, models, cause }) => {
      const served = models.map(({ name, version }) => `${name}:${version}`).join(' ');
      log('warn', { runner, models: boundedText(served) }, boundedText(`runner ended, and is replaced: ${cause}`));
    }),
    diagnostics.runStopped.subscribe(({ model, cause, ranMs, requests }) => {
      const fields = {
        ...labelsOf(model),
        requests: requests.length,
        request_ids: listed(requests.map(({ id }) => id)),
        clients: listed(requests.map(({ call }) => clientOf(call))),
        duration_ms: Math.round(ranMs),
      };
      log('warn', fields, boundedText(`a run was stopped: ${cause}`));
    }),
    diagnostics.runnerStarted.subscribe(({ runner, model, outcome, cause }) => {
      const text = outcome === 'ok' ? 'runner started again' : `runner did not start, and is tried again: ${cause}`;
      log(outcome === 'ok' ? 'info' : 'warn', { runner, ...labelsOf(model) }, boundedText(text));
    }),
    diagnostics.breakerChanged.subscribe(({ model, state }) => {
      log(LEVEL_OF_BREAKER[state], { ...labelsOf(model), breaker: state }, `circuit breaker ${state}`);
    }),
    diagnostics.rolloutChanged.subscribe(({ model, from, to, stage, percent, cause, text }) => {
      const level = stage === 'rolled_back' && cause !== 'aborted' ? 'warn' : 'info';
      log(level, { model, from, to, stage, percent, reason: cause }, boundedText(`rollout: ${text}`));
    }),
    diagnostics.callEnded.subscribe((end) => {
      if (end.status !== 'OK') logFailure(log, settings, end);
    }),
    diagnostics.inferenceEnded.subscribe((end) => {
      // `callEnded` logs unary calls.
      if (end.call.stream === undefined || end.failure === undefined) return;
      logFailure(log, settings, { ...end, text: end.failure.message, cause: end.failure.cause });
    }),
  ];
  return () => {
    for (const stop of unsubscribe) stop();
  };
}

type Write = (level: LogLevel, fields: object, text: string) => void;

function logFailure(
  log: Write,
  settings: LogSettings,
  { call, status, reason, text, cause, durationMs }: CallEnded,
): void {
  const level = reason === undefined ? levelOfStatus(status) : LEVEL_OF_REASON[reason];
  if (!settings.isEnabled(level)) return;
  const span = spanContextOf(call);
  const fields = {
    method: boundedText(call.path.slice(1)),
    status,
    reason,
    duration_ms: Number(durationMs.toFixed(3)),
    trace_id: span?.traceId,
    span_id: span?.spanId,
    cause: describeCause(cause),
  };
  log(level, fields, boundedText(text ?? 'the call failed'));
}

/** Level of a status without a reason: the transport's own. */
function levelOfStatus(status: StatusName): LogLevel {
  return status === 'INTERNAL' || status === 'UNKNOWN' ? 'error' : 'debug';
}

/** Entries logged of a list that a client may make long. */
const MAX_LISTED = 16;

/** The known values, without repeats; `undefined` without any. */
function listed(names: readonly (string | undefined)[]): string | undefined {
  const known = [...new Set(names)].filter((name) => name !== undefined && name !== '');
  if (known.length === 0) return undefined;
  const more = known.length > MAX_LISTED ? ` and ${known.length - MAX_LISTED} more` : '';
  return boundedText(`${known.slice(0, MAX_LISTED).join(' ')}${more}`);
}

/** The address at the other end of the client's own call, and the subject of its certificate. */
function clientOf(call: ObservedCall): string | undefined {
  const { peer } = wholeCallOf(call);
  if (peer === undefined) return undefined;
  return peer.certificate === undefined ? peer.address : `${peer.address} (${peer.certificate.subject})`;
}

function labelsOf({ name, version }: ModelRef): { readonly model: string; readonly version: string } {
  return { model: name, version };
}

/** Stacks of an error and of what caused it; nothing of their other properties, which might hold a request. */
function describeCause(cause: unknown): string | undefined {
  const texts: string[] = [];
  let current = cause;
  while (current !== undefined && texts.length < MAX_CAUSES) {
    texts.push(
      current instanceof Error
        ? (current.stack ?? current.message)
        : inspect(current, { depth: 0, maxArrayLength: 0, maxStringLength: 200 }),
    );
    current = current instanceof Error ? current.cause : undefined;
  }
  return texts.length === 0 ? undefined : texts.join('\ncaused by: ').slice(0, MAX_CAUSE).toWellFormed();
}
