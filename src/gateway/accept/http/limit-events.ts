import { diagnostics } from '../../ops/diagnostics.ts';
import type { HttpLimitName } from '../../ops/http-limits.ts';
import { httpSettingName } from '../../ops/limit-settings.ts';

/** To be called whenever a limit refuses, cuts or closes something. Operators see it under the name of the setting. */
export function limitReached(name: HttpLimitName): void {
  diagnostics.limitReached.publish({ limit: httpSettingName(name) });
}
