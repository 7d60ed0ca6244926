/** `examples/mesh`: its callers against the real server, and against servers that fail in the ways of docs/mesh.md. */

import fs from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Transport, UnaryCall } from '../../src/gateway/accept/call.ts';
import { listenHttp2 } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { Status } from '../../src/gateway/errors.ts';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { OPTIONS } from '../interop/transports.ts';
import { type Ended, runProgram } from '../support/run-program.ts';
import { startServer } from '../support/server.ts';
import { method } from '../support/stock-client.ts';
import { grpcurl, pythonWithTritonClient } from '../tools/tools.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const EXAMPLES = path.join(ROOT, 'examples/mesh');
const INFER = '/inference.GRPCInferenceService/ModelInfer';

const python = pythonWithTritonClient();
if (python === undefined) console.warn('SKIPPED: no Python has tritonclient (test/tools/setup.sh installs it)');
const curl = grpcurl();
if (curl === undefined) console.warn('SKIPPED: grpcurl is not installed (test/tools/setup.sh does)');

type Caller = (...args: string[]) => Promise<Ended>;

const callers: readonly { readonly name: string; readonly missing: boolean; readonly run: Caller }[] = [
  {
    name: 'client.ts',
    missing: false,
    run: (...args) => runProgram(process.execPath, [path.join(EXAMPLES, 'client.ts'), ...args]),
  },
  {
    name: 'client.py',
    missing: python === undefined,
    run: (...args) => runProgram(python ?? '', [path.join(EXAMPLES, 'client.py'), ...args]),
  },
];

describe('against the real server', () => {
  test('each caller sees a ship', async () => {
    await using server = await startServer(path.join(ROOT, 'models'), { flags: ['--log-level', 'error'] });
    for (const { name, missing, run } of callers) {
      if (missing) continue;
      const { code, stdout, stderr } = await run(server.grpc, '--deadline-ms', '20000');
      expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: '' });
      const { top } = JSON.parse(stdout);
      expect({ name, top }).toEqual({
        name,
        top: [expect.stringMatching(/:ship$/), expect.any(String), expect.any(String)],
      });
    }
    const models = path.join(EXAMPLES, 'models.ts');
    const source = path.relative(EXAMPLES, path.join(ROOT, 'src/client/inference-client.ts'));
    const generate = ['client', 'generate', '--url', server.grpc, '--out', models, '--import', source, '--check'];
    const checked = await runProgram(process.execPath, [path.join(ROOT, 'src/cli/main.ts'), ...generate]);
    expect(checked).toMatchObject({ code: 0, stderr: '' });
    if (curl === undefined) return;
    const env = { PATH: `${path.dirname(curl)}:${process.env['PATH']}` };
    const { code, stdout } = await runProgram(path.join(EXAMPLES, 'client.sh'), [server.grpc], { env });
    expect(code).toBe(0);
    expect(stdout).toContain('"SERVING"');
    const [, raw = ''] = /"rawOutputContents": \[\s*"([^"]+)"/.exec(stdout) ?? [];
    expect(Buffer.from(raw, 'base64').toString()).toContain(':ship');
    expect(stdout).toMatch(/^endpoint-load-metrics: TEXT application_utilization=/m);
  });
});

const ANSWER = method('inference.GRPCInferenceService', 'ModelInfer').responseSerialize({
  model_name: 'cifar10',
  model_version: '7',
  outputs: [{ name: 'probabilities', datatype: 'BYTES', shape: ['1', '1'] }],
  raw_output_contents: [Buffer.from('\u000a\0\0\x000.9:8:ship')],
});

/** What the server does with the first call, the second, and so on; the last holds for all that follow. */
type Behaviour = (call: UnaryCall) => void;

const answers: Behaviour = (call) => call.reply([ANSWER]);
const isGone: Behaviour = (call) => call.fail(Status.UNAVAILABLE, 'try another replica');
const isWrong: Behaviour = (call) => call.fail(Status.INVALID_ARGUMENT, 'shape [1,3]');
const never: Behaviour = () => {};
const sheds =
  (pushbackMs: number): Behaviour =>
  (call) =>
    call.fail(Status.RESOURCE_EXHAUSTED, 'full', { 'grpc-retry-pushback-ms': String(pushbackMs) });

let transport: Transport | undefined;

afterEach(() => transport?.drain(0));

/** A server that behaves so, and the calls that it got. */
async function serve(...behaviours: Behaviour[]): Promise<{ readonly target: string; readonly calls: UnaryCall[] }> {
  const calls: UnaryCall[] = [];
  const handle = (call: UnaryCall): void => {
    calls.push(call);
    behaviours[Math.min(calls.length, behaviours.length) - 1]?.(call);
  };
  transport = await listenHttp2(OPTIONS, new Map([[INFER, { kind: 'unary', handle }]]));
  return { target: `127.0.0.1:${transport.port}`, calls };
}

describe.each(callers)('$name', ({ missing, run }) => {
  test.skipIf(missing)('tries UNAVAILABLE again, three times in all', async () => {
    const { target, calls } = await serve(isGone, isGone, answers);
    const { code, stdout } = await run(target);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).top).toEqual(['0.9:8:ship']);
    expect(calls).toHaveLength(3);
  });

  test.skipIf(missing)('gives up after that', async () => {
    const { target, calls } = await serve(isGone);
    expect(await run(target)).toMatchObject({ code: 1, stderr: 'UNAVAILABLE: try another replica\n' });
    expect(calls).toHaveLength(3);
  });

  test.skipIf(missing)('leaves it to the sidecar where there is one', async () => {
    const { target, calls } = await serve(isGone, answers);
    expect(await run(target, '--mesh')).toMatchObject({ code: 1, stderr: 'UNAVAILABLE: try another replica\n' });
    expect(calls).toHaveLength(1);
  });

  test.skipIf(missing)('never sends a mistake of its own twice', async () => {
    const { target, calls } = await serve(isWrong, answers);
    expect(await run(target)).toMatchObject({ code: 1, stderr: 'INVALID_ARGUMENT: shape [1,3]\n' });
    expect(calls).toHaveLength(1);
  });

  test.skipIf(missing)('waits as long as a full server asks, and asks again', async () => {
    const arrivals: number[] = [];
    const noting =
      (behaviour: Behaviour): Behaviour =>
      (call) => {
        arrivals.push(performance.now());
        behaviour(call);
      };
    const { target } = await serve(noting(sheds(150)), noting(answers));
    expect(await run(target)).toMatchObject({ code: 0 });
    const [first = 0, second = 0] = arrivals;
    expect(second - first).toBeGreaterThanOrEqual(150);
  });

  test.skipIf(missing).each([
    ['the server says that waiting is in vain', -1],
    ['the answer would come too late', 60_000],
  ])('does not ask a full server again where %s', async (_, pushbackMs) => {
    const { target, calls } = await serve(sheds(pushbackMs), answers);
    expect(await run(target)).toMatchObject({ code: 1, stderr: 'RESOURCE_EXHAUSTED: full\n' });
    expect(calls).toHaveLength(1);
  });

  test.skipIf(missing)('sends the server its deadline, and keeps to it', async () => {
    const { target, calls } = await serve(never);
    const { code, stderr } = await run(target, '--deadline-ms', '700');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^DEADLINE_EXCEEDED: /);
    expect(calls).toHaveLength(1);
    // The timeout travels in whole milliseconds, so the server's deadline may be a little later than the client's.
    expect(calls[0]?.deadline).toBeLessThan(performance.now() + 10);
  });

  test.skipIf(missing)('asks for the canary by the header that routes match', async () => {
    const { target, calls } = await serve(answers);
    await run(target);
    await run(target, '--canary');
    expect(calls.map((call) => call.get('x-canary'))).toEqual([undefined, 'always']);
  });
});

describe('client.ts', () => {
  const run = (args: readonly string[], variables: Readonly<Record<string, string>> = {}) =>
    runProgram(process.execPath, [path.join(EXAMPLES, 'client.ts'), ...args], { env: variables });

  test('sends the context of its trace', async () => {
    const { target, calls } = await serve(answers);
    expect(await run([target, '--trace'], { OTEL_TRACES_EXPORTER: 'console' })).toMatchObject({ code: 0, stderr: '' });
    expect(calls[0]?.get('traceparent')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });

  test('uses the address that answers, of several, and waits until its model is ready', async () => {
    await using server = await startServer(path.join(ROOT, 'models'), { flags: ['--log-level', 'error'] });
    // Nothing listens on port 1.
    const args = ['127.0.0.1:1', server.grpc, '--wait-ms', '20000', '--deadline-ms', '20000'];
    const { code, stdout } = await run(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).top[0]).toMatch(/:8:ship$/);
  });
});

test('the service config stops trying again where everything fails', async () => {
  const { target, calls } = await serve(isGone);
  const serviceConfig = fs.readFileSync(path.join(EXAMPLES, 'service-config.json'), 'utf8');
  const client = new RawClient(target, { 'grpc.service_config': serviceConfig, 'grpc.enable_retries': 1 });
  const total = 40;
  for (let call = 0; call < total; call++) expect((await client.unary(INFER, Buffer.of())).status).toBe('UNAVAILABLE');
  client.close();
  // Ten tokens: each failure takes one, and at five no call is tried again (gRFC A6).
  expect(calls.length).toBeGreaterThan(total);
  expect(calls.length).toBeLessThan(total + 10);
});

describe('a large request', () => {
  const large = Buffer.alloc(2 << 20);
  const retries = fs.readFileSync(path.join(EXAMPLES, 'service-config.json'), 'utf8');

  test.each([
    ['is not tried again', {}, 1],
    ['is, where the client may keep as much', { 'grpc.per_rpc_retry_buffer_size': 4 << 20 }, 3],
  ])('%s', async (_, options, attempts) => {
    const { target, calls } = await serve(isGone);
    const client = new RawClient(target, { 'grpc.service_config': retries, 'grpc.enable_retries': 1, ...options });
    expect((await client.unary(INFER, large)).status).toBe('UNAVAILABLE');
    expect(calls).toHaveLength(attempts);
    client.close();
  });
});

test('the page shows the service config that the callers have', () => {
  const page = fs.readFileSync(path.join(ROOT, 'docs/mesh.md'), 'utf8');
  const [, shown = ''] = /^```json\n(.*?)^```$/ms.exec(page) ?? [];
  expect(JSON.parse(shown)).toEqual(JSON.parse(fs.readFileSync(path.join(EXAMPLES, 'service-config.json'), 'utf8')));
});
