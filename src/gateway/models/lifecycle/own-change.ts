/** Loads and unloads that the server makes by itself, for its logs. */

import { InferError } from '../../errors.ts';
import { audited } from '../../ops/audit.ts';
import { diagnostics, type OwnCause } from '../../ops/diagnostics.ts';
import type { Servable } from '../servable.ts';

export function loadedBy<Result>(by: OwnCause, model: string, work: () => Result | Promise<Result>): Promise<Result> {
  return audited({ by, action: 'model.load', model, detail: '' }, work);
}

export function unloadedBy<Result>(by: OwnCause, model: string, work: () => Result | Promise<Result>): Promise<Result> {
  return audited({ by, action: 'model.unload', model, detail: '' }, work);
}

export function reportError(text: string): void {
  diagnostics.notice.publish({ level: 'error', text });
}

/** The first load of a model has ended: with a failure if none of its versions serves. */
export function reportFirstLoad(model: string, versions: readonly Servable[], problem?: string): void {
  const [broken] = versions.every(({ state }) => state === 'UNAVAILABLE') ? versions : [];
  const reason = problem ?? broken?.detail;
  const failure = reason === undefined ? undefined : new InferError('load_failed', reason);
  diagnostics.changeEnded.publish({ by: 'start', action: 'model.load', model, detail: '', failure });
}
