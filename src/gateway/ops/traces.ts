/**
 * Traces: a span for each call, which continues the caller's trace, and a span for each batch, linked to the calls in it.
 * Attributes are those named here; contents of tensors and values of metadata never are.
 */

import {
  type Attributes,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { StatusName } from '../errors.ts';
import { wholeCallOf } from './caller.ts';
import { type BatchEnded, type CallEnded, diagnostics, type InferenceEnded } from './diagnostics.ts';
import type { ObservedCall } from './observed-call.ts';
import type { TraceSettings } from './trace-settings.ts';

const METADATA: TextMapGetter<ObservedCall> = {
  keys: (call) => [...call.keys()],
  get: (call, key) => {
    const value = call.get(key);
    return typeof value === 'string' ? value : undefined;
  },
};

/** Statuses that are errors of a server's span; the others are the caller's (OpenTelemetry, semantic conventions of gRPC). */
const SERVER_ERRORS: ReadonlySet<StatusName> = new Set([
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
]);

/** Spans of sampled calls. Not forgotten when a call ends: its batch may end after it. */
const spans = new WeakMap<ObservedCall, Span>();

/** Calls whose sampling is already decided. */
const decided = new WeakSet<ObservedCall>();

/** Calls whose callers trace them. */
const followed = new WeakSet<ObservedCall>();

/** The span of a call that is sampled; requests of a stream have the stream's, and steps of an ensemble their client's. */
function spanOf(call: ObservedCall): Span | undefined {
  return spans.get(wholeCallOf(call));
}

/** Where a call is in its trace; `undefined` where it is not sampled, or traces are off. */
export function spanContextOf(call: ObservedCall): SpanContext | undefined {
  return spanOf(call)?.spanContext();
}

/**
 * Makes spans of `tracer` until the returned function is called. The global propagator reads the callers' contexts.
 * @param settings say which calls are traced, when it is known which model they went to.
 */
export function recordTraces(tracer: Tracer, settings: TraceSettings): () => void {
  const unsubscribe = [
    diagnostics.callStarted.subscribe(({ call }) => startCall(tracer, call)),
    diagnostics.inferenceEnded.subscribe((end) => {
      decideSampling(settings, end.call, end.model?.name);
      describeInference(end);
    }),
    diagnostics.batchEnded.subscribe((batch) => {
      for (const call of batch.calls) decideSampling(settings, call, batch.model.name);
      addBatch(tracer, batch);
    }),
    diagnostics.callEnded.subscribe((end) => {
      decideSampling(settings, end.call, undefined);
      endCall(end);
    }),
  ];
  return () => {
    for (const stop of unsubscribe) stop();
  };
}

function startCall(tracer: Tracer, call: ObservedCall): void {
  const method = call.path.slice(1);
  const context = propagation.extract(ROOT_CONTEXT, call, METADATA);
  const span = tracer.startSpan(
    method,
    { kind: SpanKind.SERVER, attributes: { 'rpc.system.name': 'grpc', 'rpc.method': method } },
    context,
  );
  if (!span.isRecording()) return;
  spans.set(call, span);
  if (trace.getSpanContext(context) !== undefined) followed.add(call);
}

/**
 * Decides once for each call whether it is traced. A span that is not to be is forgotten: one that never ends is never
 * exported. A stream goes to many models, so what holds for all of them decides.
 */
function decideSampling(settings: TraceSettings, call: ObservedCall, model: string | undefined): void {
  const whole = wholeCallOf(call);
  const span = spans.get(whole);
  if (span === undefined || decided.has(whole)) return;
  decided.add(whole);
  const own = call.step?.of ?? call;
  const name = own.stream === undefined ? (call.step?.ensemble ?? model ?? '') : '';
  if (!settings.isTraced(name, followed.has(whole))) spans.delete(whole);
}

function describeInference({ call, model, rows, batchRows, queueMs, status, reason }: InferenceEnded): void {
  const span = spanOf(call);
  if (span === undefined) return;
  const attributes: Attributes = {
    'tensorgate.model.name': model?.name,
    'tensorgate.model.version': model?.version,
    'tensorgate.rows': rows,
    'tensorgate.batch.rows': batchRows,
    'tensorgate.queue_ms': queueMs,
  };
  if (call.stream === undefined && call.step === undefined) span.setAttributes(attributes);
  // One of many on this call: its status is not the call's.
  else span.addEvent('inference', { ...attributes, 'tensorgate.status': status, 'tensorgate.reason': reason });
}

function endCall({ call, status, reason }: CallEnded): void {
  const span = spanOf(call);
  if (span === undefined) return;
  span.setAttribute('rpc.response.status_code', status);
  if (status !== 'OK') span.setAttributes({ 'error.type': status, 'tensorgate.reason': reason });
  if (SERVER_ERRORS.has(status)) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/**
 * A batch serves many calls, so it links to all of them. It is also a child of the first: as a root span it would be sampled
 * separately, and at a rate of 1 % hardly ever exist together with its calls.
 */
function addBatch(tracer: Tracer, batch: BatchEnded): void {
  const callSpans = new Set(batch.calls.map(spanOf).filter((span) => span !== undefined));
  const [first] = callSpans;
  if (first === undefined) return;
  const span = tracer.startSpan(
    `batch ${batch.model.name}`,
    {
      startTime: batch.startedAtMs,
      links: [...callSpans].map((callSpan) => ({ context: callSpan.spanContext() })),
      attributes: {
        'tensorgate.model.name': batch.model.name,
        'tensorgate.model.version': batch.model.version,
        'tensorgate.batch.rows': batch.rows,
        'tensorgate.batch.requests': batch.calls.length,
        'tensorgate.batch.reason': batch.reason,
        'tensorgate.batch.outcome': batch.outcome,
        'tensorgate.batch.input_ms': batch.inputMs,
        'tensorgate.batch.compute_ms': batch.computeMs,
        'tensorgate.batch.output_ms': batch.outputMs,
      },
    },
    trace.setSpan(ROOT_CONTEXT, first),
  );
  if (batch.outcome !== 'ok') span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(batch.startedAtMs + batch.inputMs + batch.computeMs + batch.outputMs);
}
