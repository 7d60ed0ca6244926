/** The names of the settings of the transport's limits. A file of its own: threads that name limits check no settings. */

import type { Http2LimitName } from '../../http2/limits.ts';

/** The name of the setting of a limit of h2, such as `http2MaxConnections`. */
export type Http2SettingName = `http2${Capitalize<Http2LimitName>}`;

export function http2SettingName(name: Http2LimitName): Http2SettingName {
  return `http2${name.charAt(0).toUpperCase()}${name.slice(1)}` as Http2SettingName;
}
