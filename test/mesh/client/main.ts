/**
 * The program of a client pod: makes the requested calls through its pod's network, and reports how they ended.
 * Like any client it knows nothing of a mesh.
 */

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { decodeInferResponse } from '../../../src/wire/infer-response.ts';
import { DEFAULT_WIRE_LIMITS } from '../../../src/wire/limits.ts';
import { type Calls, CONTROL_FOLDER, type Outcome, SOCKET } from './calls.ts';

const INFER = '/inference.GRPCInferenceService/ModelInfer';

async function make(calls: Calls): Promise<Outcome> {
  const { rootCertificate } = calls;
  const channel =
    rootCertificate === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(rootCertificate));
  const client = new Client(calls.target, channel, {
    // One connection, no retries of its own, no look-up of a service config in a DNS that is not there.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.max_receive_message_length': -1,
    ...(calls.authority !== undefined && {
      'grpc.default_authority': calls.authority,
      'grpc.ssl_target_name_override': calls.authority,
    }),
  });
  const message = Buffer.from(calls.message, 'base64');
  const statuses: Record<string, number> = {};
  const texts: Record<string, number> = {};
  const versions: Record<string, number> = {};
  const times: number[] = [];
  const start = performance.now();
  let started = 0;

  const one = async (): Promise<void> => {
    const begin = performance.now();
    const { code, details, answer } = await call(client, calls, message);
    times.push(Math.round((performance.now() - begin) * 10) / 10);
    count(statuses, String(code));
    if (code !== status.OK) count(texts, details);
    else if (answer !== undefined && calls.path === INFER)
      count(versions, decodeInferResponse(answer, DEFAULT_WIRE_LIMITS).modelVersion);
  };
  const worker = async (): Promise<void> => {
    while (started < calls.count) {
      const due = calls.perSecond === undefined ? 0 : start + (started * 1000) / calls.perSecond - performance.now();
      started += 1;
      if (due > 0) await delay(due);
      await one();
    }
  };
  await Promise.all(Array.from({ length: Math.min(calls.parallel, calls.count) }, worker));
  client.close();
  return { statuses, texts, versions, times, durationMs: Math.round(performance.now() - start) };
}

interface Ended {
  readonly code: number;
  readonly details: string;
  readonly answer: Buffer | undefined;
}

/** Any RPC is a stream on the wire: of a unary one the only message comes, then the status; of others the first is enough. */
function call(client: Client, { path: rpc, metadata = {}, deadlineMs }: Calls, message: Buffer): Promise<Ended> {
  const fields = new Metadata();
  for (const [key, value] of Object.entries(metadata)) fields.set(key, value);
  const echo = (bytes: Buffer): Buffer => bytes;
  const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
  const stream = client.makeBidiStreamRequest(rpc, echo, echo, fields, options);
  return new Promise((resolve) => {
    let answer: Buffer | undefined;
    stream.on('data', (bytes: Buffer) => {
      answer = bytes;
      if (isEndless(rpc)) stream.cancel();
    });
    stream.on('error', () => {});
    stream.on('status', ({ code, details }: StatusObject) => {
      const isAnswered = isEndless(rpc) && answer !== undefined;
      resolve({ code: isAnswered ? status.OK : code, details, answer });
    });
    stream.write(message);
    stream.end();
  });
}

const ENDLESS: readonly string[] = [
  '/grpc.health.v1.Health/Watch',
  '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics',
];

function isEndless(rpc: string): boolean {
  return ENDLESS.includes(rpc);
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

const socket = path.join(CONTROL_FOLDER, SOCKET);
fs.rmSync(socket, { force: true });
http
  .createServer(async (request, response) => {
    try {
      response.end(JSON.stringify(await make(JSON.parse(await text(request)) as Calls)));
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  })
  .listen(socket, () => fs.chmodSync(socket, 0o777));
process.on('SIGTERM', () => process.exit(0));
