/** The limits of the transports as settings of the process: `maxConnections` of h2 is the setting `http2MaxConnections`. */

import { z } from 'zod';
import { HTTP2_LIMITS, type Http2LimitName, type Http2Limits, type Limit } from '../../http2/limits.ts';
import { HTTP_LIMITS, type HttpLimitName, type HttpLimits } from './http-limits.ts';
import { type Http2SettingName, http2SettingName } from './limit-setting-name.ts';

export const HTTP2_LIMIT_SETTINGS = Object.fromEntries(
  (Object.keys(HTTP2_LIMITS) as Http2LimitName[]).map((name) => [http2SettingName(name), fieldOf(HTTP2_LIMITS[name])]),
) as Record<Http2SettingName, z.ZodDefault<z.ZodInt>>;

export const HTTP_LIMIT_SETTINGS = Object.fromEntries(
  (Object.keys(HTTP_LIMITS) as HttpLimitName[]).map((name) => [httpSettingName(name), fieldOf(HTTP_LIMITS[name])]),
) as Record<HttpSettingName, z.ZodDefault<z.ZodInt>>;

function fieldOf(limit: Limit): z.ZodDefault<z.ZodInt> {
  const legal = z
    .int()
    .min(limit.minimum)
    .max(limit.maximum ?? Number.MAX_SAFE_INTEGER);
  return legal.default(limit.default).describe(limit.description);
}

/** The limits of the h2 transport that are in force. */
export function http2Limits(settings: Readonly<Record<Http2SettingName, number>>): Http2Limits {
  const names = Object.keys(HTTP2_LIMITS) as Http2LimitName[];
  return Object.fromEntries(names.map((name) => [name, settings[http2SettingName(name)]])) as Http2Limits;
}

export function httpLimits(settings: Readonly<Record<HttpSettingName, number>>): HttpLimits {
  const names = Object.keys(HTTP_LIMITS) as HttpLimitName[];
  return Object.fromEntries(names.map((name) => [name, settings[httpSettingName(name)]])) as HttpLimits;
}

/** The name of the setting of a limit of the HTTP port, such as `httpMaxConnections`. */
export type HttpSettingName = `http${Capitalize<HttpLimitName>}`;

export function httpSettingName(name: HttpLimitName): HttpSettingName {
  return `http${name.charAt(0).toUpperCase()}${name.slice(1)}` as HttpSettingName;
}
