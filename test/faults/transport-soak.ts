/**
 * Run as `node transport-soak.ts <gRPC port> <HTTP port> <seconds> <seed>`: clients that keep to the rules, beside peers that keep to none.
 * Prints a SoakReport as JSON.
 *
 * It is a process of its own so that its end closes whatever its clients have left open: a client of grpc-js that is closed
 * while it connects now and then keeps its connection for good. What the server then still holds is the server's fault.
 */

import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { InferenceClient, type InferenceResult, tensor } from '../../src/client/inference-client.ts';
import { RawClient } from '../gateway/accept/raw-client.ts';
import {
  END_HEADERS,
  END_STREAM,
  frame,
  grpcMessage,
  PREFACE,
  RawPeer,
  request,
  setting,
  Type,
  uint32,
  unaryRequest,
} from '../http2/raw-frames.ts';
import { type Caller, RestCaller, StreamCaller } from '../support/caller.ts';
import { below, pick, type Random, randomBytes, randomFrom } from '../support/random.ts';
import { type Message, method } from '../support/stock-client.ts';

const MODEL = 'cifar10';
const PIXELS = 3 * 32 * 32;
/** Two runs of a model may differ by this, because rows are batched with others. */
const TOLERANCE = 1e-4;
const IMAGES = Array.from({ length: 8 }, (_, image) =>
  Uint8Array.from({ length: PIXELS }, (_, pixel) => (pixel * (7 + image) + image * 31) & 255),
);

const INFER = method('inference.GRPCInferenceService', 'ModelInfer');
const STREAM_INFER = method('inference.GRPCInferenceService', 'ModelStreamInfer');
const GOOD_MESSAGE = INFER.requestSerialize({
  model_name: MODEL,
  inputs: [{ name: 'image', datatype: 'UINT8', shape: [1, 3, 32, 32] }],
  raw_input_contents: [IMAGES[0]],
} satisfies Message);
const INITIAL_WINDOW_SIZE = 4;
const CANCEL = uint32(8);

/** The ports of the server. */
interface Ports {
  readonly grpc: number;
  readonly http: number;
}

/** A fault, of a client of its own. Resolves when that is gone. */
type Fault = (ports: Ports, random: Random) => Promise<void>;

const FAULTS: Readonly<Record<string, Fault>> = {
  async cancelledCalls({ grpc: port }, random) {
    const client = new RawClient(port);
    const calls = Array.from({ length: 1 + below(20, random) }, async () => {
      const signal = AbortSignal.timeout(below(20, random));
      await client.unary(INFER.path, GOOD_MESSAGE, { signal });
    });
    await Promise.all(calls);
    client.close();
  },

  async cancelledStream({ grpc: port }, random) {
    const client = new RawClient(port);
    const stream = client.stream(STREAM_INFER.path);
    stream.on('error', () => undefined);
    const ended = new Promise((resolve) => stream.on('status', resolve));
    let answers = 0;
    const enough = below(10, random);
    stream.on('data', () => {
      if (++answers > enough) stream.cancel();
    });
    for (let sent = 0; sent < 20; sent++) stream.write(GOOD_MESSAGE);
    await ended;
    client.close();
  },

  async missedDeadlines({ grpc: port }, random) {
    const client = new RawClient(port);
    const calls = Array.from({ length: 1 + below(10, random) }, () =>
      client.unary(INFER.path, GOOD_MESSAGE, { timeoutMs: 1 + below(10, random) }),
    );
    await Promise.all(calls);
    client.close();
  },

  async resets({ grpc: port }, random) {
    using peer = await RawPeer.connect(port);
    for (const id of streamIds(1 + below(30, random))) {
      const body = grpcMessage(GOOD_MESSAGE);
      const part = body.subarray(0, below(body.length + 1, random));
      await peer.send(
        request(id, pick([INFER.path, STREAM_INFER.path], random)),
        frame(Type.DATA, part.length === body.length ? END_STREAM : 0, id, part),
      );
      if (random() < 0.5) await sleep(below(5, random));
      await peer.send(frame(Type.RST_STREAM, 0, id, CANCEL));
    }
  },

  async halfSentMessages({ grpc: port }, random) {
    using peer = await RawPeer.connect(port);
    for (const id of streamIds(1 + below(10, random))) {
      const body = grpcMessage(GOOD_MESSAGE);
      const part = body.subarray(0, below(body.length, random));
      // Some say that this was all.
      const flags = random() < 0.3 ? END_STREAM : 0;
      await peer.send(request(id, pick([INFER.path, STREAM_INFER.path], random)), frame(Type.DATA, flags, id, part));
    }
    await sleep(below(200, random));
    if (random() < 0.5) peer.socket.resetAndDestroy();
  },

  async slowReader({ grpc: port }, random) {
    using peer = await RawPeer.connect(port, setting(INITIAL_WINDOW_SIZE, pick([0, 1, 100], random)));
    const messages = Buffer.concat(Array.from({ length: 20 }, () => grpcMessage(GOOD_MESSAGE)));
    await peer.send(request(1, STREAM_INFER.path));
    // They fit into the window that HTTP/2 begins with.
    for (let at = 0; at < messages.length; at += 16_000) {
      await peer.send(frame(Type.DATA, 0, 1, messages.subarray(at, at + 16_000)));
    }
    for (const id of streamIds(20).slice(1))
      await peer.send(unaryRequest(id, '/inference.GRPCInferenceService/ServerLive'));
    await sleep(below(500, random));
    if (random() < 0.5) peer.socket.pause();
    for (let updates = below(20, random); updates > 0 && !peer.closed; updates--) {
      const id = pick(streamIds(20), random);
      await peer.send(frame(Type.WINDOW_UPDATE, 0, id, uint32(1 + below(50, random))));
      await sleep(below(20, random));
    }
  },

  async reconnects({ grpc: port }, random) {
    for (let count = below(10, random); count >= 0; count--) {
      using peer = await RawPeer.connectSilently(port);
      const words = [
        Buffer.alloc(0),
        PREFACE.subarray(0, below(PREFACE.length, random)),
        Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0)]),
        Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0), unaryRequest(1, INFER.path, GOOD_MESSAGE)]),
      ];
      await peer.send(pick(words, random));
      if (random() < 0.5) await sleep(below(20, random));
      const farewell = random();
      if (farewell < 0.3) peer.socket.end();
      else if (farewell < 0.6) peer.socket.resetAndDestroy();
    }
  },

  async garbage({ grpc: port }, random) {
    using peer = await RawPeer.connectSilently(port);
    const noise = randomBytes(1 + below(5_000, random), random);
    const words = [
      noise,
      Buffer.concat([PREFACE, noise]),
      Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0), frame(below(12, random), below(256, random), 1, noise)]),
      Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0), frame(Type.HEADERS, END_HEADERS, 1, noise)]),
      Buffer.from('GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n'),
      Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), noise]),
      mutated(session(random), random),
      mutated(session(random), random),
    ];
    const said = pick(words, random);
    for (let at = 0; at < said.length && !peer.closed; ) {
      const end = at + 1 + below(2_000, random);
      await peer.send(said.subarray(at, end));
      at = end;
    }
    // Some receive the reaction.
    if (random() < 0.5) await Promise.race([peer.end(), sleep(200)]);
  },

  async halfSentBodies({ http }, random) {
    const whole = restRequest(REST_BODY);
    await sayOverHttp(http, whole.subarray(0, below(whole.length, random)), random, 'all');
  },

  async unreadRestAnswers({ http }, random) {
    const requests = Array.from({ length: 1 + below(20, random) }, () => restRequest(REST_BODY));
    await sayOverHttp(http, Buffer.concat(requests), random, 'nothing');
  },

  async restGarbage({ http }, random) {
    const words = [
      randomBytes(1 + below(5_000, random), random),
      restRequest(REST_BODY.slice(0, below(REST_BODY.length, random))),
      restRequest(`${'['.repeat(below(20_000, random))}`),
      mutated(restRequest(REST_BODY), random, 0),
    ];
    await sayOverHttp(http, pick(words, random), random, 'all');
  },
};

/** Bytes on a connection of their own to the HTTP port; what it answers is taken, or not. */
async function sayOverHttp(port: number, bytes: Buffer, random: Random, reads: 'all' | 'nothing'): Promise<void> {
  const socket = net.connect(port, '127.0.0.1');
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  if (reads === 'nothing') socket.pause();
  else socket.resume();
  socket.write(bytes);
  await Promise.race([gone, sleep(below(200, random))]);
  if (random() < 0.5) socket.resetAndDestroy();
  else socket.destroy();
  await gone;
}

function restRequest(body: string): Buffer {
  const head = `POST /v2/models/${MODEL}/infer HTTP/1.1\r\nhost: soak\r\ncontent-type: application/json\r\n`;
  return Buffer.from(`${head}content-length: ${body.length}\r\n\r\n${body}`);
}

const REST_BODY = JSON.stringify({
  inputs: [{ name: 'image', datatype: 'UINT8', shape: [1, 3, 32, 32], data: Array.from(IMAGES[0] ?? []) }],
});

/** As a client numbers its streams. */
function streamIds(count: number): number[] {
  return Array.from({ length: count }, (_, index) => 1 + 2 * index);
}

/** Calls as a good client makes them. */
function session(random: Random): Buffer {
  const parts = [PREFACE, frame(Type.SETTINGS, 0, 0)];
  for (const id of streamIds(1 + below(10, random))) {
    parts.push(unaryRequest(id, INFER.path, GOOD_MESSAGE), frame(Type.PING, 0, 0, Buffer.alloc(8)));
  }
  return Buffer.concat(parts);
}

/** With some bytes changed, mostly outside the tensors. */
function mutated(bytes: Buffer, random: Random, from = PREFACE.length): Buffer {
  for (let count = 1 + below(8, random); count > 0; count--) {
    const call = from + below(bytes.length - from, random);
    const at = random() < 0.5 ? call : from + below(200, random);
    bytes[at] = below(256, random);
  }
  return bytes;
}

/** Calls that have to be answered, each with what the model says of its image. */
class GoodCalls {
  answered = 0;
  /** Requests without the expected answer. */
  readonly wrong: string[] = [];
  readonly #target: string;
  readonly #expected: readonly Float32Array[];

  private constructor(target: string, expected: readonly Float32Array[]) {
    this.#target = target;
    this.#expected = expected;
  }

  /** Asks the server for its answer to each image, while no other caller does. */
  static async of(target: string): Promise<GoodCalls> {
    using client = connect(target);
    const expected: Float32Array[] = [];
    for (const image of IMAGES) expected.push(probabilities(await client.infer(MODEL, inputs(image))).slice());
    return new GoodCalls(target, expected);
  }

  /** Calls one after the other on one connection. */
  async callUntil(end: number, random: Random, connectTo: () => Caller = () => connect(this.#target)): Promise<void> {
    using caller = connectTo();
    while (performance.now() < end) await this.#call(caller, random);
  }

  /** Each on a connection of its own. */
  async reconnectUntil(end: number, random: Random): Promise<void> {
    while (performance.now() < end) {
      using client = connect(this.#target);
      await this.#call(client, random);
    }
  }

  /** Twenty requests at a time, on a stream for them. */
  async streamUntil(end: number, random: Random): Promise<void> {
    using client = connect(this.#target);
    while (performance.now() < end) {
      const images = Array.from({ length: 20 }, () => below(IMAGES.length, random));
      const requests = images.map((image, id) => ({ model: MODEL, id: String(id), inputs: inputs(IMAGES[image]) }));
      let next = 0;
      try {
        for await (const answer of client.stream(requests)) {
          if (answer.id !== String(next)) this.wrong.push(`request ${next} of a stream was answered as ${answer.id}`);
          else if (answer.kind === 'error') this.wrong.push(`in a stream: ${answer.error}`);
          else this.#check(images[next], answer.result);
          next++;
        }
        if (next !== images.length) this.wrong.push(`a stream ended after ${next} answers`);
      } catch (error) {
        this.wrong.push(`a stream: ${error}`);
      }
    }
  }

  async #call(caller: Caller, random: Random): Promise<void> {
    const image = below(IMAGES.length, random);
    try {
      this.#check(image, await caller.infer(MODEL, inputs(IMAGES[image])));
    } catch (error) {
      this.wrong.push(`a call: ${error}`);
    }
  }

  #check(image = Number.NaN, result: InferenceResult): void {
    const got = probabilities(result);
    const expected = this.#expected[image] ?? [];
    const isRight =
      got.length === expected.length && got.every((value, at) => Math.abs(value - (expected[at] ?? NaN)) < TOLERANCE);
    if (isRight) this.answered++;
    else this.wrong.push(`image ${image} is ${got}, not ${expected}`);
  }
}

function connect(target: string): InferenceClient {
  return new InferenceClient(target, { deadlineMs: 60_000, channelOptions: { 'grpc.use_local_subchannel_pool': 1 } });
}

function inputs(image: Uint8Array = new Uint8Array(0)) {
  return { image: tensor.uint8(image, [1, 3, 32, 32]) };
}

function probabilities(result: InferenceResult): Float32Array {
  return result.output('probabilities', 'FP32').data;
}

export interface SoakReport {
  /** Good calls that were answered rightly. */
  readonly answered: number;
  /** How the others ended. */
  readonly wrong: readonly string[];
  /** By name, how often each fault was made. */
  readonly faults: Readonly<Record<string, number>>;
}

/** Six good clients and four bad ones, for so long. */
async function soak(ports: Ports, seconds: number, seed: number): Promise<SoakReport> {
  const good = await GoodCalls.of(`127.0.0.1:${ports.grpc}`);
  const doors = { grpc: `127.0.0.1:${ports.grpc}`, http: `http://127.0.0.1:${ports.http}` };
  const end = performance.now() + seconds * 1_000;
  const faults = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0]));
  const makeFaults = async (random: Random): Promise<void> => {
    while (performance.now() < end) {
      const [name, fault] = pick(Object.entries(FAULTS), random);
      await fault(ports, random);
      faults[name] = (faults[name] ?? 0) + 1;
    }
  };
  await Promise.all([
    good.callUntil(end, randomFrom(seed)),
    good.callUntil(end, randomFrom(seed + 1)),
    good.reconnectUntil(end, randomFrom(seed + 2)),
    good.streamUntil(end, randomFrom(seed + 3)),
    good.callUntil(end, randomFrom(seed + 8), () => new StreamCaller(doors.grpc)),
    good.callUntil(end, randomFrom(seed + 9), () => new RestCaller(doors.http)),
    ...Array.from({ length: 4 }, (_, index) => makeFaults(randomFrom(seed + 4 + index))),
  ]);
  return { answered: good.answered, wrong: good.wrong, faults };
}

const [grpc = Number.NaN, httpPort = Number.NaN, seconds = Number.NaN, seed = Number.NaN] = process.argv
  .slice(2)
  .map(Number);
const report = await soak({ grpc, http: httpPort }, seconds, seed);
process.stdout.write(JSON.stringify(report), () => process.exit());
