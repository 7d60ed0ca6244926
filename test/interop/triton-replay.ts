/** Sends the recorded requests again, to a server of ours. */

import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import type { TestServer } from '../support/server.ts';
import { HEALTH, INFERENCE, type Message, method, refusalOf, type StockClient } from '../support/stock-client.ts';
import type { Reply } from './triton-meaning.ts';
import { SEQUENCE_IDLE_MS } from './triton-models.ts';
import type { Recorded } from './triton-recording.ts';

/** Triton's report, in the same form as ours. */
export function recordedReply({ rpc, code, text, answer, request }: Recorded): Reply {
  if (rpc === 'HTTP') return http(code, answer as Message);
  if (rpc.startsWith('HTTP GET')) return { code, text, answer };
  if (code !== 'OK') return { code, text, answer: undefined };
  // Only names and versions were kept of all models' statistics.
  if (rpc === 'ModelStatistics' && Array.isArray(answer)) {
    const models = (answer as unknown as [string, string][]).map(([name, version]) => ({ name, version }));
    return { code, text, answer: { model_stats: models } };
  }
  if (Array.isArray(request))
    return { code, text, answer: ((answer ?? []) as Message[]).map((each) => stock(rpc, each)) };
  return { code, text, answer: stock(rpc, (answer ?? {}) as Message) };
}

/** Our report on the same question. */
export async function replay(
  { rpc, name, request }: Recorded,
  client: StockClient,
  server: TestServer,
): Promise<Reply> {
  if (name === 'seq after idle') await setTimeout(SEQUENCE_IDLE_MS * 1.5);
  if (rpc === 'HTTP') return askHttp(server, request);
  if (rpc.startsWith('HTTP GET')) return { code: '200', text: '', answer: { text: await metrics(server) } };
  if (rpc.endsWith('Health/Watch')) return watch(client);
  if (rpc.startsWith('/')) return replyTo(client.bytes(rpc, Buffer.from(request, 'base64')).then(() => ({})));
  if (Array.isArray(request)) return stream(client, request);
  const [service, method_] = rpc.includes('/') ? [HEALTH, 'Check'] : [INFERENCE, rpc];
  const reply = await replyTo(client.call(method_, request, service));
  // Only names and versions, like the recording.
  if (!name.includes('(names and versions only)')) return withBytes(reply);
  const models = (reply.answer as Message)['model_stats'] as Message[];
  return { ...reply, answer: { model_stats: models.map(({ name, version }) => ({ name, version })) } };
}

async function replyTo(call: Promise<Message>): Promise<Reply> {
  try {
    return { code: 'OK', text: '', answer: await call };
  } catch {
    return { ...(await refusalOf(call)), answer: undefined };
  }
}

/** The first message of a watch, which lasts until someone ends it. */
async function watch(client: StockClient): Promise<Reply> {
  const stream = client.open('Watch', HEALTH);
  stream.send({});
  const answer = await stream.next();
  stream.cancel();
  return { code: answer === undefined ? await stream.ended : 'OK', text: '', answer };
}

async function stream(client: StockClient, requests: readonly Message[]): Promise<Reply> {
  const call = client.open('ModelStreamInfer');
  for (const request of requests) call.send(request);
  call.halfClose();
  const messages = await call.rest();
  return { code: await call.ended, text: '', answer: messages.map(streamedWithBytes) };
}

/** Recordings are JSON; sent and received messages have every field. Models of other backends are ONNX files here. */
function stock(rpc: string, recorded: Message): Message {
  const { config, name } = recorded;
  const platform = name === 'repeat' ? 'tensorgate_javascript' : 'onnxruntime_onnx';
  const message = {
    ...recorded,
    ...(recorded['platform'] === undefined ? {} : { platform }),
    ...(config === undefined ? {} : { config: { ...config, backend: 'onnxruntime' } }),
  };
  const { responseSerialize, responseDeserialize } = rpc.includes('/')
    ? method(HEALTH, 'Check')
    : method(INFERENCE, rpc);
  const read = responseDeserialize(responseSerialize(message));
  return rpc === 'ModelStreamInfer'
    ? streamedWithBytes(read)
    : (withBytes({ code: '', text: '', answer: read }).answer as Message);
}

function streamedWithBytes(message: Message): Message {
  const { infer_response } = message;
  return infer_response ? { ...message, infer_response: outputsWithBytes(infer_response) } : message;
}

function withBytes(reply: Reply): Reply {
  const message = reply.answer as Message | undefined;
  return message?.['raw_output_contents'] === undefined ? reply : { ...reply, answer: outputsWithBytes(message) };
}

/** Puts each output's raw contents beside its name, in hexadecimal digits. */
function outputsWithBytes(response: Message): Message {
  const raw = response['raw_output_contents'] as Buffer[];
  const outputs = (response['outputs'] as Message[]).map((output, index) => {
    return { ...output, bytes: raw[index]?.toString('hex') ?? 'none' };
  });
  return { ...response, outputs };
}

interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body_base64: string;
}

async function askHttp(
  { http: origin }: TestServer,
  { method, path, headers, body_base64 }: HttpRequest,
): Promise<Reply> {
  const body = Buffer.from(body_base64, 'base64');
  const response = await fetch(`${origin}${path}`, { method, headers, ...(method === 'GET' ? {} : { body }) });
  const length = response.headers.get('inference-header-content-length');
  const received = Buffer.from(await response.arrayBuffer());
  const described = length === null ? {} : { headers: { 'Inference-Header-Content-Length': length } };
  return http(String(response.status), { ...described, body_base64: received.toString('base64') });
}

/** Reads a body: JSON, with the bytes that follow it where its length is given, or a text. */
function http(code: string, { headers, text, body_base64 }: Message): Reply {
  const body = body_base64 === undefined ? Buffer.from(text) : Buffer.from(body_base64, 'base64');
  const length = headers?.['Inference-Header-Content-Length'];
  const head = body.subarray(0, length === undefined ? undefined : Number(length)).toString();
  let answer: Message;
  try {
    answer = JSON.parse(head);
  } catch {
    answer = { text: head };
  }
  if (code !== '200') return { code, text: answer['error'] ?? head, answer: undefined };
  if (length === undefined) return { code, text: '', answer };
  let offset = Number(length);
  const outputs = (answer['outputs'] as Message[]).map((output) => {
    const size = output['parameters']?.binary_data_size ?? 0;
    offset += size;
    return { ...output, bytes: body.subarray(offset - size, offset).toString('hex') };
  });
  assert.equal(offset, body.length, 'the body holds more than its outputs say');
  return { code, text: '', answer: { ...answer, outputs } };
}

async function metrics({ http: origin }: TestServer): Promise<string> {
  return (await fetch(`${origin}/metrics`)).text();
}
