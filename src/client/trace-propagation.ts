/** Passes the active trace context of OpenTelemetry on to the server, where the caller has `@opentelemetry/api`. */

import { createRequire } from 'node:module';
import type * as OpenTelemetry from '@opentelemetry/api';

let api: typeof OpenTelemetry | undefined;
let isLookedFor = false;

/** Adds `traceparent` and the other headers of the application's propagator; nothing where the application does not trace. */
export function injectTraceContext(metadata: Record<string, string>): void {
  if (!isLookedFor) {
    isLookedFor = true;
    api = loadApi();
  }
  api?.propagation.inject(api.context.active(), metadata);
}

function loadApi(): typeof OpenTelemetry | undefined {
  try {
    return createRequire(import.meta.url)('@opentelemetry/api') as typeof OpenTelemetry;
  } catch {
    // An optional peer dependency: an application that traces has it.
    return undefined;
  }
}
