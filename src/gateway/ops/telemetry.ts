/** Starts and stops what operators see: logs, metrics, traces. */

import { context, diag, logs, metrics, propagation, trace } from '@opentelemetry/api';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { messageOf } from '../../error-message.ts';
import { startAccessLog } from './access-log.ts';
import { startAuditLog } from './audit-log.ts';
import { diagnostics } from './diagnostics.ts';
import { Distributions, distributeTo } from './distribution.ts';
import { type ExpositionFormat, expose } from './exposition.ts';
import type { GatewayState } from './gateway-state.ts';
import { startLog } from './log.ts';
import { LogLines } from './log-lines.ts';
import { LogSettings } from './log-settings.ts';
import { MetricFamilies, observeWith } from './metric-families.ts';
import { type Recording, recordMetrics } from './metrics-recorder.ts';
import type { Settings } from './settings.ts';
import { TraceSettings } from './trace-settings.ts';
import { recordTraces, spanContextOf } from './traces.ts';

export interface TelemetryOptions {
  /** Environment of the process: the OpenTelemetry SDK reads its `OTEL_*` variables there. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
  readonly version: string;
  /** Empty where ONNX Runtime is not installed. */
  readonly onnxruntime: string;
  readonly settings: Pick<Settings, 'logLevel' | 'logFormat' | 'accessLog' | 'maxInFlightBytes'>;
  readonly state: () => Omit<GatewayState, 'maxInFlightBytes'> | Promise<Omit<GatewayState, 'maxInFlightBytes'>>;
}

export interface Telemetry {
  /** In force; changes hold from the next line, and the next call, on. */
  readonly logSettings: LogSettings;
  readonly traceSettings: TraceSettings;
  /** All metrics, without what ends an answer (`endOf`). */
  metricsText(format: ExpositionFormat): Promise<string>;
  /** Sends what has not been sent, for `limitMs` and 5 s at most, and ends everything. Never rejects. */
  shutdown(limitMs?: number): Promise<void>;
}

const NAME = 'tensorgate';
const FLUSH_LIMIT_MS = 5_000;

/** One process has one telemetry at a time. */
export async function startTelemetry({
  env,
  version,
  onnxruntime,
  settings,
  state,
}: TelemetryOptions): Promise<Telemetry> {
  const logSettings = new LogSettings(settings);
  const lines = new LogLines(logSettings);
  const stops = [startLog(lines), startAuditLog(lines)];
  if (settings.accessLog !== 'off') stops.push(startAccessLog(lines, settings.accessLog));
  const exported = { traces: isExported('TRACES', env), metrics: isExported('METRICS', env) };
  const traceSettings = new TraceSettings(exported.traces);
  const sdk =
    exported.traces || exported.metrics ? await startSdk(env, version, exported).catch(unexported) : undefined;
  // Before the metrics: exemplars are calls that are traced, which is decided first.
  if (exported.traces) stops.push(recordTraces(trace.getTracer(NAME, version), traceSettings));

  const source = {
    state: async (): Promise<GatewayState> => ({ ...(await state()), maxInFlightBytes: settings.maxInFlightBytes }),
    versions: { version, node: process.versions.node, onnxruntime },
    traceOf: exported.traces ? spanContextOf : undefined,
  };
  const distributions = new Distributions();
  const families = new MetricFamilies(distributions.distribute);
  const recording = recordMetrics(families, source);
  stops.push(() => recording.stop());
  // The exporter's meters record for themselves: histograms that are pushed are instruments of its SDK.
  if (exported.metrics) {
    const pushed = pushMetrics(version, source);
    stops.push(() => pushed.stop());
  }
  const resource = { ...ownResource(version).merge(detectResources({ detectors: [envDetector] })).attributes };

  let ended: Promise<void> | undefined;
  const end = async (limitMs: number): Promise<void> => {
    await sdk?.shutdown(limitMs);
    for (const stop of stops.reverse()) stop();
  };

  return {
    logSettings,
    traceSettings,
    metricsText: async (format) => {
      await recording.refresh();
      return expose({ families, distributions, resource }, format);
    },
    shutdown: (limitMs = FLUSH_LIMIT_MS) => {
      ended ??= end(Math.min(limitMs, FLUSH_LIMIT_MS));
      return ended;
    },
  };
}

function pushMetrics(version: string, source: Parameters<typeof recordMetrics>[1]): Pick<Recording, 'stop'> {
  const meter = metrics.getMeter(NAME, version);
  const families = new MetricFamilies(distributeTo(meter));
  const recording = recordMetrics(families, source);
  const unobserve = observeWith(meter, families, () => recording.refresh());
  return {
    stop: () => {
      unobserve();
      recording.stop();
    },
  };
}

/**
 * Whether the environment asks for an exporter of a signal. The SDK by itself would export everything to localhost, unasked.
 */
function isExported(signal: 'TRACES' | 'METRICS', env: TelemetryOptions['env']): boolean {
  if (env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') return false;
  const exporters = env[`OTEL_${signal}_EXPORTER`]?.split(',').map((name) => name.trim()) ?? [];
  if (exporters.some((name) => name !== '')) return !exporters.includes('none');
  const endpoint = env[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`] ?? env['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? '';
  return endpoint.trim() !== '';
}

type Resource = ReturnType<typeof defaultResource>;

/** `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are merged over it. */
function ownResource(version: string): Resource {
  return defaultResource().merge(resourceFromAttributes({ 'service.name': NAME, 'service.version': version }));
}

interface Sdk {
  shutdown(limitMs: number): Promise<void>;
}

/** Loaded only where it is asked for: with its exporters it costs memory that most gateways need for requests. */
async function startSdk(
  env: TelemetryOptions['env'],
  version: string,
  exported: { readonly traces: boolean; readonly metrics: boolean },
): Promise<Sdk> {
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const { CompositePropagator, W3CTraceContextPropagator } = await import('@opentelemetry/core');
  const { B3Propagator } = await import('@opentelemetry/propagator-b3');
  const warn = (text: string): void => diagnostics.notice.publish({ level: 'warn', text: `OpenTelemetry: ${text}` });
  const ignore = (): void => {};
  // With OTEL_LOG_LEVEL the SDK prints by itself instead.
  diag.setLogger({ error: warn, warn, info: ignore, debug: ignore, verbose: ignore });
  const sdk = new NodeSDK({
    resource: ownResource(version),
    // The last one that finds a context wins. Baggage of unknown callers is dropped.
    ...((env['OTEL_PROPAGATORS'] ?? '') === '' && {
      textMapPropagator: new CompositePropagator({
        propagators: [new B3Propagator(), new W3CTraceContextPropagator()],
      }),
    }),
    ...(!exported.traces && { spanProcessors: [] }),
    ...(!exported.metrics && { metricReaders: [] }),
    logRecordProcessors: [],
  });
  sdk.start();
  return {
    shutdown: async (limitMs) => {
      await withinLimit(sdk.shutdown(), limitMs).catch((error: unknown) => warn(`the last export failed: ${error}`));
      for (const api of [trace, metrics, logs, propagation, context, diag]) api.disable();
    },
  };
}

/** Variables of the platform that the SDK does not take never keep a server from starting. */
function unexported(error: unknown): undefined {
  const reason = messageOf(error);
  diagnostics.notice.publish({ level: 'warn', text: `OpenTelemetry exports nothing: ${reason}` });
}

/** A collector that does not answer must not hold up the end of the process. */
async function withinLimit(work: Promise<void>, limitMs: number): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not done within ${Math.round(limitMs)} ms`)), limitMs);
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
