/** docs/observability.md names what the code emits: each event is published for real, and what comes out is compared with the page. */

import fs from 'node:fs';
import path from 'node:path';
import {
  type Attributes,
  INVALID_SPAN_CONTEXT,
  type Link,
  type Span,
  type SpanOptions,
  type Tracer,
} from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { InferError } from '../../src/gateway/errors.ts';
import { startAccessLog } from '../../src/gateway/ops/access-log.ts';
import { startAuditLog } from '../../src/gateway/ops/audit-log.ts';
import { diagnostics } from '../../src/gateway/ops/diagnostics.ts';
import { startLog } from '../../src/gateway/ops/log.ts';
import { LogLines } from '../../src/gateway/ops/log-lines.ts';
import { LogSettings } from '../../src/gateway/ops/log-settings.ts';
import { METRICS } from '../../src/gateway/ops/metric-definitions.ts';
import { TraceSettings } from '../../src/gateway/ops/trace-settings.ts';
import { recordTraces } from '../../src/gateway/ops/traces.ts';
import { batchEnded, callEnded, FakeCall, inferenceEnded, RESNET } from '../gateway/ops/fake-events.ts';

const PAGE = fs.readFileSync(path.join(import.meta.dirname, '../../docs/observability.md'), 'utf8');

/** The rows of the table below a heading, cell by cell. */
function tableOf(heading: string): string[][] {
  const [, section = ''] = PAGE.split(`\n${heading}\n`);
  const table = /(?:^\|.*\n)+/m.exec(section)?.[0] ?? '';
  const rows = table.trim().split('\n').slice(2);
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function unquoted(name = ''): string {
  return name.replaceAll('`', '');
}

/** Attributes by what has them: a call, a batch, or an event of a call. */
class RecordingTracer implements Tracer {
  readonly attributes = { call: new Set<string>(), batch: new Set<string>(), inference: new Set<string>() };

  startSpan(name: string, { attributes = {} }: SpanOptions = {}): Span {
    const of = name.startsWith('batch ') ? 'batch' : 'call';
    const span = new RecordingSpan((event, some) => this.#add(event ?? of, some));
    span.setAttributes(attributes);
    return span;
  }

  startActiveSpan(): never {
    throw new Error('the gateway has no active span');
  }

  #add(of: string, attributes: Attributes): void {
    if (of !== 'call' && of !== 'batch' && of !== 'inference') throw new Error(`the page has no event '${of}'`);
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined) this.attributes[of].add(name);
  }
}

class RecordingSpan implements Span {
  readonly #add: (event: string | undefined, attributes: Attributes) => void;

  constructor(add: (event: string | undefined, attributes: Attributes) => void) {
    this.#add = add;
  }

  spanContext = () => ({ ...INVALID_SPAN_CONTEXT, traceId: '1'.repeat(32), spanId: '2'.repeat(16) });
  setAttribute(name: string, value: Attributes[string]): this {
    return this.setAttributes({ [name]: value });
  }
  setAttributes(attributes: Attributes): this {
    this.#add(undefined, attributes);
    return this;
  }
  addEvent(name: string, attributes: unknown = {}): this {
    this.#add(name, attributes as Attributes);
    return this;
  }
  addLink(_: Link): this {
    return this;
  }
  addLinks(_: Link[]): this {
    return this;
  }
  setStatus(): this {
    return this;
  }
  updateName(): this {
    return this;
  }
  end(): void {}
  isRecording(): boolean {
    return true;
  }
  recordException(): void {}
}

const FAILURE = new InferError('internal', 'internal error', { cause: new Error('the cause') });

const PEER = { address: '10.0.0.7:51234', certificate: { subject: 'CN=a', alternativeNames: [] } };

/** Publishes each event with all that it may hold. A topic that is new has no publisher here, and does not compile. */
const PUBLISH: Readonly<Record<keyof typeof diagnostics, () => void>> = {
  callStarted: () => {},
  callEnded: () => {
    const call = new FakeCall();
    diagnostics.callStarted.publish({ call });
    const failed = { status: 'INTERNAL', reason: 'internal', text: 'internal error', cause: new Error('x') } as const;
    diagnostics.callEnded.publish(callEnded({ call, ...failed }));
  },
  inferenceEnded: () => {
    const unary = new FakeCall();
    const stream = new FakeCall();
    for (const call of [unary, stream]) diagnostics.callStarted.publish({ call });
    const message = new FakeCall({}, { stream });
    const failed = { status: 'INTERNAL', reason: 'internal', failure: FAILURE } as const;
    diagnostics.inferenceEnded.publish(inferenceEnded({ call: unary }));
    diagnostics.inferenceEnded.publish(inferenceEnded({ call: message, ...failed }));
  },
  batchEnded: () => {
    const call = new FakeCall();
    diagnostics.callStarted.publish({ call });
    diagnostics.batchEnded.publish(batchEnded({ calls: [call] }));
  },
  runStopped: () => {
    const call = Object.assign(new FakeCall(), { peer: { address: '10.0.0.7:51234' } });
    diagnostics.runStopped.publish({ model: RESNET, cause: 'x', ranMs: 9, requests: [{ call, id: 'r1' }] });
  },
  limitReached: () => diagnostics.limitReached.publish({ limit: 'http2ControlBurst' }),
  tenantCharged: () => diagnostics.tenantCharged.publish({ tenant: 'other', outcome: 'limited' }),
  acceptorEnded: () => diagnostics.acceptorEnded.publish({ acceptor: 1, cause: 'x', lostCalls: 2 }),
  requestsRepeated: () => diagnostics.requestsRepeated.publish({ model: RESNET, requests: 2 }),
  runnerEnded: () =>
    diagnostics.runnerEnded.publish({ runner: 'r', models: [RESNET], cause: 'killed', isStopped: false }),
  runnerStarted: () =>
    diagnostics.runnerStarted.publish({ runner: 'r', model: RESNET, outcome: 'failed', cause: 'spawn EMFILE' }),
  breakerChanged: () => diagnostics.breakerChanged.publish({ model: RESNET, state: 'open' }),
  modelChanged: () => diagnostics.modelChanged.publish({ model: RESNET, state: 'READY', detail: '' }),
  shadowEnded: () => {
    const outcome = { kind: 'shed', cause: 'no_room' } as const;
    diagnostics.shadowEnded.publish({ model: 'resnet', primary: '3', shadow: '4', outcome });
  },
  rolloutChanged: () => {
    const versions = { model: 'resnet', from: '3', to: '4' };
    diagnostics.rolloutChanged.publish({ ...versions, stage: 'rolled_back', percent: 0, cause: 'errors', text: 'x' });
  },
  changeEnded: () => {
    const call = Object.assign(new FakeCall({ 'x-request-id': 'm-1' }), { peer: PEER, deadline: 5 });
    const change = { action: 'model.load', model: 'resnet', detail: '', failure: undefined };
    diagnostics.changeEnded.publish({ ...change, by: call });
    diagnostics.changeEnded.publish({ ...change, by: 'repository', failure: FAILURE });
    // In the access log, with all that it may say.
    diagnostics.callStarted.publish({ call });
    const timing = { inputMs: 1, computeMs: 2, outputMs: 3 };
    diagnostics.inferenceEnded.publish(inferenceEnded({ call, requestId: 'r1', timing, cache: 'miss' }));
    diagnostics.callEnded.publish(callEnded({ call }));
    for (let failure = 0; failure < 200; failure++) {
      diagnostics.callEnded.publish(callEnded({ status: 'UNAVAILABLE', reason: 'draining', text: 'x' }));
    }
  },
  notice: () => diagnostics.notice.publish({ level: 'warn', text: 'x', cause: new Error('y') }),
};

/** What comes out when every event is published. */
function emitted() {
  const tracer = new RecordingTracer();
  const lines: string[] = [];
  const stopTraces = recordTraces(tracer, new TraceSettings(true));
  const log = new LogSettings({ logLevel: 'debug', logFormat: 'json' });
  const written = new LogLines(log, { write: (text) => lines.push(...text.trimEnd().split('\n')) });
  const stopLogs = [startLog(written), startAuditLog(written), startAccessLog(written, 1)];
  for (const publish of Object.values(PUBLISH)) publish();
  stopTraces();
  for (const stop of stopLogs) stop();
  const fields = new Set(lines.flatMap((line) => Object.keys(JSON.parse(line) as object)));
  return { attributes: tracer.attributes, fields };
}

test('docs/observability.md names every attribute of spans and events, and what has it', () => {
  const { attributes } = emitted();
  const onPage = tableOf('### Attributes').map(([name, on = '']) => [unquoted(name), on.split(', ').sort()]);
  const names = new Set(Object.values(attributes).flatMap((set) => [...set]));
  const found = [...names].map((name) => {
    const on = Object.entries(attributes).flatMap(([of, set]) => (set.has(name) ? [of] : []));
    return [name, on.sort()];
  });
  expect(Object.fromEntries(onPage)).toEqual(Object.fromEntries(found));
});

test('docs/observability.md names every field of log lines', () => {
  const onPage = tableOf('### Log fields').map(([name]) => unquoted(name));
  expect(onPage.sort()).toEqual([...emitted().fields].sort());
});

test('docs/observability.md groups every metric once', () => {
  const onPage = tableOf('## Metrics').flatMap(([, names = '']) => names.split(', ').map(unquoted));
  expect(onPage.sort()).toEqual(Object.keys(METRICS).sort());
});
