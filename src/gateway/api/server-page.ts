/** The page of a server, and the history behind it. With `ui: off` there is neither. */

import type { HttpHandler } from '../accept/http/http-answer.ts';
import { PageServer } from '../accept/page/page-server.ts';
import { History } from '../ops/history/history.ts';
import type { Settings } from '../ops/settings.ts';
import { pageApi, type SnapshotSources } from './server-snapshot.ts';

export interface ServerPage extends Disposable {
  /** Answers the paths of the page, and leaves every other to the handler behind it. */
  readonly handler: HttpHandler;
  /** Ends the event streams. */
  end(): void;
}

export interface PageOptions extends Omit<SnapshotSources, 'history' | 'facts' | 'inFlightBytesLimit'> {
  readonly settings: Pick<Settings, 'ui' | 'rest' | 'modelControlMode' | 'maxInFlightBytes'>;
  readonly version: string;
  /** Whether the calls that change the server are served over REST. */
  readonly servesAdmin: boolean;
}

export function serverPage(
  { settings, version, servesAdmin, ...sources }: PageOptions,
  otherwise: HttpHandler,
): ServerPage {
  if (settings.ui === 'off') return { handler: otherwise, end: () => {}, [Symbol.dispose]: () => {} };
  const rest = settings.rest === 'on';
  const history = new History();
  const control = rest && servesAdmin && settings.modelControlMode === 'explicit';
  const facts = { version, rest, control };
  const api = pageApi({ ...sources, history, facts, inFlightBytesLimit: settings.maxInFlightBytes });
  const page = new PageServer(api, otherwise);
  return {
    handler: page.handle,
    end: () => page.end(),
    [Symbol.dispose]: () => {
      page.end();
      api[Symbol.dispose]();
      history[Symbol.dispose]();
    },
  };
}
