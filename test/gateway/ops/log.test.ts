import { spawnSync } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import { InferError } from '../../../src/gateway/errors.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { startLog } from '../../../src/gateway/ops/log.ts';
import { LogLines } from '../../../src/gateway/ops/log-lines.ts';
import { LogSettings } from '../../../src/gateway/ops/log-settings.ts';
import type { Settings } from '../../../src/gateway/ops/settings.ts';
import { callEnded, FakeCall, inferenceEnded, MODEL_INFER, RESNET } from './fake-events.ts';

let stop: (() => void) | undefined;

afterEach(() => stop?.());

/** Lines that are logged from now on. */
function capture(logLevel: Settings['logLevel'] = 'debug', logFormat: Settings['logFormat'] = 'json'): string[] {
  const lines: string[] = [];
  stop = startLog(new LogLines(new LogSettings({ logLevel, logFormat }), { write: (line) => lines.push(line) }));
  return lines;
}

function parse(lines: readonly string[]): Record<string, unknown>[] {
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a line is one JSON object with a level, a time and a text', () => {
  const lines = capture();
  diagnostics.notice.publish({ level: 'info', text: 'hello' });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^\{.*\}\n$/);
  expect(parse(lines)).toEqual([{ level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), msg: 'hello' }]);
});

test('changes of models, runners and breakers are reported, at the level of what they mean', () => {
  const lines = capture('info');
  diagnostics.modelChanged.publish({ model: RESNET, state: 'READY', detail: '2 instances on cpu' });
  diagnostics.modelChanged.publish({ model: RESNET, state: 'UNAVAILABLE', detail: 'no such file' });
  diagnostics.runnerEnded.publish({ runner: 'r', models: [RESNET], cause: 'killed by SIGSEGV', isStopped: false });
  diagnostics.runnerStarted.publish({ runner: 'r', model: RESNET, outcome: 'failed', cause: 'spawn EMFILE' });
  diagnostics.runnerStarted.publish({ runner: 'r', model: RESNET, outcome: 'ok', cause: undefined });
  diagnostics.breakerChanged.publish({ model: RESNET, state: 'open' });
  diagnostics.breakerChanged.publish({ model: RESNET, state: 'closed' });
  diagnostics.modelChanged.publish({ model: RESNET, state: 'UNAVAILABLE', detail: 'unloaded', isIntended: true });
  const model = { model: 'resnet', version: '3' };
  expect(parse(lines)).toMatchObject([
    { level: 'info', ...model, state: 'READY', msg: 'model READY: 2 instances on cpu' },
    { level: 'warn', ...model, state: 'UNAVAILABLE', msg: 'model UNAVAILABLE: no such file' },
    { level: 'warn', runner: 'r', models: 'resnet:3', msg: 'runner ended, and is replaced: killed by SIGSEGV' },
    { level: 'warn', runner: 'r', ...model, msg: 'runner did not start, and is tried again: spawn EMFILE' },
    { level: 'info', runner: 'r', ...model, msg: 'runner started again' },
    { level: 'warn', ...model, breaker: 'open' },
    { level: 'info', ...model, breaker: 'closed' },
    { level: 'info', ...model, state: 'UNAVAILABLE', msg: 'model UNAVAILABLE: unloaded' },
  ]);
});

test('a run that is stopped is reported with its model, the ids of its requests, and their clients, each once', () => {
  const lines = capture('warn');
  const peer = { address: '10.0.0.7:51234' };
  const certificate = { subject: 'CN=scanner', alternativeNames: [] };
  const client = Object.assign(new FakeCall(), { peer });
  const known = Object.assign(new FakeCall(), { peer: { ...peer, certificate } });
  const step = Object.assign(new FakeCall(), { step: { of: client, ensemble: 'pipeline' } });
  const streamed = Object.assign(new FakeCall(), { stream: client });
  const stopped = { model: RESNET, cause: 'no answer within 9 ms', ranMs: 12.345 };
  const requests = [client, step, streamed].map((call, index) => ({ call, id: index === 2 ? '' : `r${index}` }));
  diagnostics.runStopped.publish({ ...stopped, requests });
  diagnostics.runStopped.publish({ ...stopped, requests: [{ call: known, id: 'r9' }] });
  diagnostics.runStopped.publish({ ...stopped, requests: [{ call: new FakeCall(), id: '' }] });
  const many = Array.from({ length: 40 }, (_, index) => ({ call: client, id: `r${index}\n` }));
  diagnostics.runStopped.publish({ ...stopped, requests: many });
  const line = { level: 'warn', model: 'resnet', version: '3', duration_ms: 12 };
  expect(parse(lines)).toMatchObject([
    {
      ...line,
      requests: 3,
      request_ids: 'r0 r1',
      clients: '10.0.0.7:51234',
      msg: 'a run was stopped: no answer within 9 ms',
    },
    { ...line, requests: 1, request_ids: 'r9', clients: '10.0.0.7:51234 (CN=scanner)' },
    { ...line, requests: 1 },
    { ...line, requests: 40, request_ids: expect.stringMatching(/^r0.*r15.* and 24 more$/s) },
  ]);
  expect(lines).toHaveLength(4);
});

test('a call that went well has no line', () => {
  const lines = capture('trace');
  diagnostics.callEnded.publish(callEnded());
  diagnostics.inferenceEnded.publish(inferenceEnded());
  expect(lines).toEqual([]);
});

test('a mistake of the caller and a shed request are for debugging', () => {
  const failures = [
    callEnded({ status: 'INVALID_ARGUMENT', reason: 'invalid_request', text: 'no' }),
    callEnded({ status: 'RESOURCE_EXHAUSTED', reason: 'queue_full', text: 'no' }),
    callEnded({ status: 'RESOURCE_EXHAUSTED', reason: undefined, text: 'message too long' }),
  ];
  const quiet = capture('info');
  for (const failure of failures) diagnostics.callEnded.publish(failure);
  expect(quiet).toEqual([]);
  stop?.();
  const lines = capture('debug');
  for (const failure of failures) diagnostics.callEnded.publish(failure);
  expect(parse(lines).map(({ level, status }) => [level, status])).toEqual([
    ['debug', 'INVALID_ARGUMENT'],
    ['debug', 'RESOURCE_EXHAUSTED'],
    ['debug', 'RESOURCE_EXHAUSTED'],
  ]);
});

test('a fault of ours is an error with its cause, and the causes of that', () => {
  const lines = capture('error');
  const cause = new TypeError('x is undefined', { cause: new RangeError('deep') });
  diagnostics.callEnded.publish(callEnded({ status: 'INTERNAL', reason: 'internal', text: 'internal error', cause }));
  const [line] = parse(lines);
  expect(line).toMatchObject({ level: 'error', method: MODEL_INFER, status: 'INTERNAL', duration_ms: 4 });
  expect(line?.['cause']).toMatch(/^TypeError: x is undefined\n +at .*\ncaused by: RangeError: deep\n/s);
});

test('a request of a stream that fails in band has a line of its own; a unary call has only the line of the call', () => {
  const lines = capture();
  const failure = new InferError('internal', 'internal error', { cause: new Error('boom') });
  const failed = { status: 'INTERNAL', reason: 'internal', failure } as const;
  diagnostics.inferenceEnded.publish(inferenceEnded({ ...failed, call: new FakeCall() }));
  expect(lines).toEqual([]);
  const stream = new FakeCall();
  diagnostics.inferenceEnded.publish(inferenceEnded({ ...failed, call: new FakeCall({}, { stream }) }));
  expect(parse(lines)).toMatchObject([
    { level: 'error', msg: 'internal error', cause: expect.stringContaining('boom') },
  ]);
});

test('nothing of a request but its outcome is logged', () => {
  const lines = capture('trace');
  const call = new FakeCall({ authorization: 'Bearer hunter2' });
  const cause = Object.assign(new Error('bad'), { feeds: { x: Float32Array.of(41.5) }, token: 'hunter2' });
  const failed = { call, status: 'INTERNAL', reason: 'internal', text: 'internal error', cause } as const;
  diagnostics.callEnded.publish(callEnded(failed));
  diagnostics.callEnded.publish(callEnded({ ...failed, cause: { tensor: new Float32Array(4).fill(41.5) } }));
  const named = ['level', 'time', 'method', 'status', 'reason', 'duration_ms', 'cause', 'msg'];
  for (const line of parse(lines)) expect(Object.keys(line)).toEqual(named);
  expect(lines.join('')).not.toMatch(/hunter2|41\.5/);
});

test.each([
  ['a lone surrogate', 'x\ud83d'],
  ['an escape sequence', '\u001b[2Jgone\r\nforged'],
  ['a megabyte', 'x'.repeat(2 ** 20)],
])('a text of %s is made harmless', (_, text) => {
  const lines = capture();
  diagnostics.notice.publish({ level: 'warn', text, cause: text });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.length).toBeLessThan(6_000);
  expect(lines[0]).toMatch(/^[^\p{Cc}\p{Cs}]*\n$/u);
});

test('text lines are for human eyes', () => {
  const lines = capture('info', 'text');
  diagnostics.breakerChanged.publish({ model: { name: 'my model', version: '3' }, state: 'open' });
  const cause = new Error('boom');
  cause.stack = 'Error: boom\n    at here';
  diagnostics.notice.publish({ level: 'error', text: 'it failed', cause });
  const time = /^\d{4}-\d\d-\d\dT[\d:.]+Z /;
  expect(lines.map((line) => line.replace(time, ''))).toEqual([
    'WARN  circuit breaker open model="my model" version=3 breaker=open\n',
    'ERROR it failed\n    Error: boom\n        at here\n',
  ]);
});

test('a text line cannot be forged, nor move the cursor', () => {
  const lines = capture('info', 'text');
  const name = 'a\u001b[2J\u009b2Jb\nforged';
  diagnostics.breakerChanged.publish({ model: { name, version: '3' }, state: 'open' });
  expect(lines[0]).toMatch(/^\P{Cc}*\n$/u);
});

test('after the end nothing is logged', () => {
  const lines = capture();
  stop?.();
  diagnostics.notice.publish({ level: 'error', text: 'late' });
  expect(lines).toEqual([]);
});

test('lines go to stderr, and the last one before an exit is not lost', () => {
  const log = new URL('../../../src/gateway/ops/log.ts', import.meta.url).href;
  const lines = new URL('../../../src/gateway/ops/log-lines.ts', import.meta.url).href;
  const settings = new URL('../../../src/gateway/ops/log-settings.ts', import.meta.url).href;
  const events = new URL('../../../src/gateway/ops/diagnostics.ts', import.meta.url).href;
  const script = `
    import { startLog } from '${log}';
    import { LogLines } from '${lines}';
    import { LogSettings } from '${settings}';
    import { diagnostics } from '${events}';
    startLog(new LogLines(new LogSettings({ logLevel: 'info', logFormat: 'json' })));
    for (let i = 0; i < 500; i++) diagnostics.notice.publish({ level: 'info', text: 'line ' + i });
    process.exit(3);`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  expect([status, stdout]).toEqual([3, '']);
  expect(stderr.trimEnd().split('\n')).toHaveLength(500);
});

test('the level and the form of the log may change at run time', () => {
  const lines: string[] = [];
  const settings = new LogSettings({ logLevel: 'info', logFormat: 'json' });
  stop = startLog(new LogLines(settings, { write: (line) => lines.push(line) }));
  settings.change(new Map([['log_info', false]]));
  diagnostics.notice.publish({ level: 'info', text: 'unheard' });
  settings.change(
    new Map<string, boolean | string>([
      ['log_info', true],
      ['log_format', 'ISO8601'],
    ]),
  );
  diagnostics.notice.publish({ level: 'info', text: 'heard' });
  expect(lines).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z INFO {2}heard\n$/)]);
});
