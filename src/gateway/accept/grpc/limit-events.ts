import type { LimitName } from '../../../http2/limits.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import { http2SettingName } from '../../ops/limit-setting-name.ts';

/** To be called whenever a limit refuses, ends or closes something. Operators see it under the name of the setting. */
export function limitReached(name: LimitName): void {
  if (!diagnostics.limitReached.active) return;
  diagnostics.limitReached.publish({ limit: name === 'maxConcurrentStreams' ? name : http2SettingName(name) });
}
