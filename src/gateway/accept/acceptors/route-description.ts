/** A method as an acceptor knows it: enough to take its calls, and nothing of how it answers. */

import type { Method, Routes } from '../call.ts';

export interface RouteDescription extends Pick<Method, 'kind' | 'maxMessageBytes' | 'messageLimitSetting'> {
  readonly path: string;
  /** The owner wants to see the head of a call before its message comes. */
  readonly isScreened: boolean;
  readonly landsTensors: boolean;
}

/** The order numbers the routes, for both sides. */
export function describeRoutes(routes: Routes): RouteDescription[] {
  return [...routes].map(([path, { kind, maxMessageBytes, messageLimitSetting, screen, landsTensors = false }]) => ({
    path,
    kind,
    maxMessageBytes,
    ...(messageLimitSetting !== undefined && { messageLimitSetting }),
    isScreened: screen !== undefined,
    landsTensors,
  }));
}
