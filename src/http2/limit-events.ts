import { diagnostics } from '../gateway/ops/diagnostics.ts';
import { type Http2LimitName, http2SettingName } from './limits.ts';

/** The limits of this transport, and the one that comes with the call's seam. */
export type LimitName = Http2LimitName | 'maxConcurrentStreams';

/** To be called whenever a limit refuses, ends or closes something. Operators see it under the name of the setting. */
export function limitReached(name: LimitName): void {
  if (!diagnostics.limitReached.active) return;
  diagnostics.limitReached.publish({ limit: name === 'maxConcurrentStreams' ? name : http2SettingName(name) });
}
