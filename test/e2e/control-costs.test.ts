/** What one message to any RPC but inference may cost, and that permission is judged before a message is waited for. */

import { request } from 'node:http';
import type { ServiceDefinition } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collect, RawClient } from '../gateway/accept/raw-client.ts';
import { loadService } from '../gateway/accept/reference-service.ts';
import { ACCEPTORS } from '../support/acceptors.ts';
import { cpuMsOf, residentMibOf } from '../support/process-cost.ts';
import { useServer } from '../support/server-fixture.ts';
import { SERVED } from './protocol-requests.ts';

const MIB = 1024 * 1024;
/** What protobufjs decodes at most. */
const SMALL = 4 * 1024;

const SERVICES: readonly (readonly [file: string, service: string])[] = [
  ['inference.proto', 'inference.GRPCInferenceService'],
  ['health.proto', 'grpc.health.v1.Health'],
  ['tensorgate.proto', 'tensorgate.v1.Rollout'],
  ['tensorgate.proto', 'tensorgate.v1.Traffic'],
  ['tensorgate.proto', 'tensorgate.v1.Models'],
  ['orca.proto', 'xds.service.orca.v3.OpenRcaService'],
];

interface Rpc {
  readonly path: string;
  readonly isStream: boolean;
}

const REFLECTION: readonly Rpc[] = ['v1', 'v1alpha'].map((version) => ({
  path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  isStream: true,
}));

/** Every RPC that the server has, but the two of inference. */
const RPCS: readonly Rpc[] = [
  ...SERVICES.flatMap(([file, service]) => Object.values(loadService(file, service)).map(rpcOf)),
  ...REFLECTION,
].filter(({ path }) => !path.endsWith('/ModelInfer') && !path.endsWith('/ModelStreamInfer'));

function rpcOf({ path, requestStream, responseStream }: ServiceDefinition[string]): Rpc {
  return { path, isStream: requestStream || responseStream };
}

/** As many times `unit` as `bytes` have room for. */
function filled(bytes: number, ...unit: number[]): Buffer {
  return Buffer.alloc(bytes - (bytes % unit.length), Uint8Array.from(unit));
}

function within(tag: number, content: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = content.length;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) length.push((rest % 128) | 0x80);
  return Buffer.concat([Uint8Array.of(tag, ...length, rest), content]);
}

/** Messages of about `bytes` bytes that a decoder could make much of. */
const CRAFTED: Readonly<Record<string, (bytes: number) => Buffer>> = {
  'empty entries of field 1': (bytes) => filled(bytes, 0x0a, 0),
  'empty entries of field 2': (bytes) => filled(bytes, 0x12, 0),
  'empty entries of field 3': (bytes) => filled(bytes, 0x1a, 0),
  'an entry with many values': (bytes) => within(0x12, within(0x12, filled(bytes - 8, 0x0a, 0))),
  'packed numbers of field 5': (bytes) => within(0x2a, filled(bytes - 4, 1)),
  'unknown fields': (bytes) => filled(bytes, 0x78, 0),
  'groups within groups': (bytes) => filled(bytes, 0x7b),
  'a long name': (bytes) => within(0x0a, filled(bytes - 4, 0x61)),
  'names that are no UTF-8': (bytes) => within(0x12, filled(bytes - 4, 0xff)),
};

async function send(client: RawClient, { path, isStream }: Rpc, message: Buffer): Promise<string> {
  if (!isStream) return (await client.unary(path, message, { timeoutMs: 30_000 })).status;
  const stream = client.stream(path, { timeoutMs: 30_000 });
  const ended = collect(stream);
  // A watch goes on for ever: its first answer is one too.
  const answered = new Promise<string>((resolve) => stream.once('data', () => resolve('OK')));
  stream.write(message);
  const status = await Promise.race([answered, ended.then((end) => end.status)]);
  stream.cancel();
  await ended;
  return status;
}

describe.each([
  { name: 'where clients may not load', flags: [], loads: false },
  {
    name: 'where clients may load and send files',
    flags: ['--model-control-mode', 'explicit', '--load-model', 'sum', '--allow-model-upload', 'true'],
    loads: true,
  },
])('$name', ({ flags, loads }) => {
  const fixture = useServer({ sum: SERVED.sum }, { flags: ['--log-level', 'silent', ...flags] });
  let client: RawClient;
  const isLoad = ({ path }: Rpc): boolean => path.endsWith('/RepositoryModelLoad');
  /** Refused for what its head says. */
  const isScreened = ({ path }: Rpc): boolean =>
    path.endsWith('SharedMemoryRegister') || (!loads && /RepositoryModel(Load|Unload)$/.test(path));

  beforeAll(() => {
    client = new RawClient(fixture.server.grpc);
  });
  afterAll(() => client.close());

  test('a crafted message at the limit of any RPC costs milliseconds', async () => {
    const { pid } = fixture.server;
    const before = cpuMsOf(pid);
    const residentBefore = residentMibOf(pid);
    const outcomes: string[] = [];
    for (const rpc of RPCS) {
      for (const craft of Object.values(CRAFTED)) outcomes.push(await send(client, rpc, craft(SMALL)));
    }
    expect(new Set(outcomes)).not.toContain('UNKNOWN');
    expect(outcomes).not.toContain('DEADLINE_EXCEEDED');
    // Each call costs about a millisecond, much of it the connection's; a slow decoder would take a hundred.
    expect((cpuMsOf(pid) - before) / outcomes.length).toBeLessThan(10);
    expect(residentMibOf(pid) - residentBefore).toBeLessThan(100);
  });

  test('a byte more than an RPC takes is refused, and so is a message that is far too long', async () => {
    const { pid } = fixture.server;
    const before = cpuMsOf(pid);
    const residentBefore = residentMibOf(pid);
    for (const rpc of RPCS) {
      if (isLoad(rpc) && loads) continue;
      // An acceptor knows the limits of messages, and asks their owner for everything else: either may be first.
      const screened =
        ACCEPTORS > 1
          ? /^(FAILED_PRECONDITION|UNIMPLEMENTED|RESOURCE_EXHAUSTED)$/
          : /^(FAILED_PRECONDITION|UNIMPLEMENTED)$/;
      const refused = isScreened(rpc) ? screened : /^RESOURCE_EXHAUSTED$/;
      const limit = isLoad(rpc) ? 2 * MIB : SMALL;
      expect(await send(client, rpc, Buffer.alloc(limit + 1)), rpc.path).toMatch(refused);
      expect(await send(client, rpc, Buffer.alloc(16 * MIB)), rpc.path).toMatch(refused);
    }
    // To read and drop 16 MiB takes some 20 ms.
    expect((cpuMsOf(pid) - before) / RPCS.length).toBeLessThan(200);
    // Some 400 MiB came in all. Dropped messages wait for the collector.
    expect(residentMibOf(pid) - residentBefore).toBeLessThan(256);
  });

  test.runIf(loads)('a load of many small parts is refused while it is read', async () => {
    const { pid } = fixture.server;
    for (const [name, craft] of Object.entries(CRAFTED)) {
      const before = cpuMsOf(pid);
      const load = RPCS.find(isLoad);
      if (load === undefined) throw new Error('there is no load');
      const status = await send(client, load, craft(32 * MIB));
      expect(['RESOURCE_EXHAUSTED', 'INTERNAL', 'UNIMPLEMENTED', 'NOT_FOUND'], `${name}: ${status}`).toContain(status);
      // To receive it takes most of the time; protobufjs takes 20 s.
      expect(cpuMsOf(pid) - before, name).toBeLessThan(1_500);
    }
  });

  test.runIf(loads)('a load with large files goes on to work', async () => {
    const { RepositoryModelLoad: load } = loadService('inference.proto', 'inference.GRPCInferenceService');
    if (load === undefined) throw new Error('there is no load');
    const message = load.requestSerialize({
      model_name: 'uploaded',
      parameters: {
        config: { string_param: '{}' },
        'file:1/model.onnx': { bytes_param: SERVED.sum.versions[1] },
        'file:1/more.bin': { bytes_param: new Uint8Array(40 * MIB) },
      },
    });
    expect(await client.unary(load.path, message, { timeoutMs: 60_000 })).toMatchObject({ status: 'OK' });
  });

  test.runIf(!loads)('a load is refused over gRPC before its message has come', async () => {
    const load = RPCS.find(isLoad);
    const stream = client.stream(load?.path ?? '', { timeoutMs: 30_000 });
    expect(await collect(stream)).toMatchObject({ status: 'FAILED_PRECONDITION', messages: [] });
  });

  const refusedPaths = [
    { path: '/v2/systemsharedmemory/region/r/register', code: 501 },
    ...(loads ? [] : ['load', 'unload'].map((verb) => ({ path: `/v2/repository/models/sum/${verb}`, code: 400 }))),
  ];
  test.each(refusedPaths)('over REST $path is refused before its body has come', async ({ path, code }) => {
    expect(await postHead(`${fixture.server.http}${path}`)).toBe(code);
    const body = Buffer.alloc(8 * MIB, '[');
    expect((await fetch(`${fixture.server.http}${path}`, { method: 'POST', body })).status).toBe(code);
  });

  test.each([
    '/v2/repository/index',
    '/v2/trace/setting',
    '/v2/models/sum/trace/setting',
    '/v2/logging',
    '/v2/systemsharedmemory/unregister',
    ...(loads ? ['/v2/repository/models/sum/unload'] : []),
  ])('over REST %s takes a body of a few KiB, and not more', async (path) => {
    const { pid } = fixture.server;
    const before = cpuMsOf(pid);
    for (const body of [
      `{"a":"${'x'.repeat(16 * 1024)}"}`,
      `{${'"a":[],'.repeat(2 * MIB)}"b":1}`,
      '['.repeat(8 * MIB),
      `{"a":"${'\\u0041'.repeat(MIB)}"}`,
    ]) {
      const answer = await fetch(`${fixture.server.http}${path}`, { method: 'POST', body });
      expect(answer.status, path).toBe(413);
    }
    expect(cpuMsOf(pid) - before).toBeLessThan(1_500);
  });
});

/** Sends the head of a POST with a body to come, and resolves with the code of the answer. */
function postHead(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', headers: { 'content-length': 1_000 } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
      sent.destroy();
    });
    sent.on('error', reject);
    sent.flushHeaders();
  });
}
