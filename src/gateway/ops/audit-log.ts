/**
 * The audit log: one line for each change of the server, with who asked for it and how it ended, and for each attempt that was not
 * allowed. Lines about clients are written whatever levels are logged, unless nothing is. The server's own changes are of level `info`.
 */

import { boundedText } from '../errors.ts';
import { addressOf, identityOf, wholeCallOf } from './caller.ts';
import { type CallEnded, type ChangeEnded, diagnostics } from './diagnostics.ts';
import type { LogLines } from './log-lines.ts';
import type { ObservedCall } from './observed-call.ts';

export function startAuditLog(lines: LogLines): () => void {
  const unsubscribe = [
    diagnostics.changeEnded.subscribe((change) => logChange(lines, change)),
    diagnostics.rolloutChanged.subscribe(({ model, from, to, stage, percent, cause, text }) => {
      const fields = { log: 'audit', action: `rollout.${stage}`, by: 'rollout', model, from, to, percent };
      lines.write('info', { ...fields, outcome: 'ok', reason: cause }, boundedText(`rollout of ${model}: ${text}`));
    }),
    diagnostics.callEnded.subscribe((end) => {
      if (end.reason === 'permission_denied') logRefusal(lines, end);
    }),
  ];
  return () => {
    for (const stop of unsubscribe) stop();
  };
}

function logChange(lines: LogLines, { by, action, model, detail, failure }: ChangeEnded): void {
  const outcome = failure === undefined ? 'ok' : failure.reason;
  const fields = {
    log: 'audit',
    action,
    ...(typeof by === 'string' ? { by } : whoAsked(by)),
    model: model === '' ? undefined : boundedText(model.slice(0, 256)),
    outcome,
  };
  const what = [action, model, detail].filter((part) => part !== '').join(' ');
  const text = boundedText(failure === undefined ? what : `${what}: ${failure.message}`);
  if (typeof by === 'string') lines.write('info', fields, text);
  else lines.always(fields, text);
}

/** The message of such a call has not been read: which model it was about is unknown. */
function logRefusal(lines: LogLines, { call, text }: CallEnded): void {
  const fields = {
    log: 'audit',
    action: boundedText(call.path.slice(1)),
    ...whoAsked(call),
    outcome: 'permission_denied',
  };
  lines.always(fields, boundedText(text ?? 'permission denied'));
}

function whoAsked(call: ObservedCall): object {
  const whole = wholeCallOf(call);
  return { by: 'client', via: whole.via ?? 'grpc', client: identityOf(whole), address: addressOf(whole) };
}
