/** The ways in which callers ask a server for an inference: one noun, so that a test of a fault asks through every door. */

import http from 'node:http';
import { status } from '@grpc/grpc-js';
import {
  InferenceClient,
  InferenceError,
  InferenceResult,
  type Inputs,
  type StreamRequest,
} from '../../src/client/inference-client.ts';
import { NO_PARAMETERS } from '../../src/wire/infer-parameter.ts';
import type { InferOutput } from '../../src/wire/infer-response.ts';

export interface CallerOptions {
  /** After this long the caller gives up: the deadline of the call over gRPC, its own time over REST. */
  readonly deadlineMs?: number;
  /** Ends the call. A stream does not end single requests. */
  readonly signal?: AbortSignal;
}

export interface Caller extends Disposable {
  /** @throws InferenceError */
  infer(model: string, inputs: Inputs, options?: CallerOptions): Promise<InferenceResult>;
  /** No new calls; those under way are answered. */
  close(): void;
}

/** Where a server listens: `host:port` of gRPC, and `http://host:port`. */
export interface Doors {
  readonly grpc: string;
  readonly http: string;
}

export interface Door {
  readonly name: 'unary gRPC' | 'ModelStreamInfer' | 'REST';
  /** Whether an error says its status: a stream's says only its text. */
  readonly hasStatus: boolean;
  connect(server: Doors): Caller;
}

export const DOORS: readonly Door[] = [
  {
    name: 'unary gRPC',
    hasStatus: true,
    connect: ({ grpc }) => new InferenceClient(grpc, { deadlineMs: 60_000 }),
  },
  { name: 'ModelStreamInfer', hasStatus: false, connect: ({ grpc }) => new StreamCaller(grpc) },
  { name: 'REST', hasStatus: true, connect: ({ http }) => new RestCaller(http) },
];

interface Waiter {
  readonly resolve: (result: InferenceResult) => void;
  readonly reject: (error: Error) => void;
}

/** All requests go over one stream, as many at a time as come. */
export class StreamCaller implements Caller {
  readonly #client: InferenceClient;
  readonly #waiters = new Map<string, Waiter>();
  readonly #outbox: StreamRequest[] = [];
  #next = 0;
  #isClosed = false;
  #end: Error | undefined;
  #wake: () => void = () => {};
  #started = false;

  constructor(target: string) {
    this.#client = new InferenceClient(target);
  }

  infer(model: string, inputs: Inputs): Promise<InferenceResult> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    const id = String(++this.#next);
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      this.#outbox.push({ model, id, inputs });
      this.#wake();
      if (!this.#started) void this.#read();
      this.#started = true;
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *#requests(): AsyncGenerator<StreamRequest> {
    for (;;) {
      yield* this.#outbox.splice(0);
      if (this.#outbox.length > 0) continue;
      if (this.#isClosed) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #read(): Promise<void> {
    let end = new Error('the stream has ended');
    try {
      for await (const answer of this.#client.stream(this.#requests())) {
        const waiter = this.#waiters.get(answer.id);
        this.#waiters.delete(answer.id);
        if (waiter === undefined) throw new Error(`an answer that no one asked for: ${answer.id}`);
        if (answer.kind === 'error') waiter.reject(answer.error);
        else waiter.resolve(answer.result);
      }
    } catch (error) {
      end = error instanceof Error ? error : new Error(String(error));
    }
    this.#end = end;
    for (const { reject } of this.#waiters.values()) reject(end);
    this.#waiters.clear();
    this.#client.close();
  }
}

/** The status of gRPC that an HTTP status stands for. */
const STATUS_OF_HTTP: Readonly<Record<number, number>> = {
  400: status.INVALID_ARGUMENT,
  404: status.NOT_FOUND,
  413: status.RESOURCE_EXHAUSTED,
  429: status.RESOURCE_EXHAUSTED,
  500: status.INTERNAL,
  503: status.UNAVAILABLE,
  504: status.DEADLINE_EXCEEDED,
};

const ARRAYS = { FP32: Float32Array, UINT8: Uint8Array, INT64: BigInt64Array } as const;

interface JsonTensor {
  readonly name: string;
  readonly datatype: keyof typeof ARRAYS;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** JSON over connections that are kept. */
export class RestCaller implements Caller {
  readonly #base: string;
  readonly #agent = new http.Agent({ keepAlive: true });

  constructor(base: string) {
    this.#base = base;
  }

  async infer(
    model: string,
    inputs: Inputs,
    { deadlineMs = 60_000, signal }: CallerOptions = {},
  ): Promise<InferenceResult> {
    const end = AbortSignal.any([AbortSignal.timeout(deadlineMs), ...(signal === undefined ? [] : [signal])]);
    const tensors = Object.entries(inputs).map(([name, { datatype, shape, data }]) => ({
      name,
      datatype,
      shape,
      data: Array.from(data as Iterable<number | bigint>, Number),
    }));
    const body = JSON.stringify({ inputs: tensors });
    const { code, text, retryAfter } = await this.#post(`/v2/models/${model}/infer`, body, end);
    const answer = JSON.parse(text);
    if (code === 200) return resultOf(answer);
    throw new InferenceError(STATUS_OF_HTTP[code] ?? status.UNKNOWN, answer.error, {
      model,
      pushbackMs: retryAfter === undefined ? undefined : Number(retryAfter) * 1_000,
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #post(path: string, body: string, signal: AbortSignal): Promise<{ code: number; text: string; retryAfter?: string }> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const request = http.request(`${this.#base}${path}`, { method: 'POST', agent: this.#agent, headers, signal });
      request.on('error', reject);
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const { statusCode: code = 0, headers: got } = response;
          const retryAfter = got['retry-after'];
          resolve({ code, text: Buffer.concat(chunks).toString(), ...(retryAfter !== undefined && { retryAfter }) });
        });
      });
      request.end(body);
    });
  }
}

function resultOf(answer: {
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string;
  readonly outputs: readonly JsonTensor[];
}): InferenceResult {
  const outputs = answer.outputs.map(({ name, datatype, shape, data }): InferOutput => {
    const values = datatype === 'INT64' ? BigInt64Array.from(data, BigInt) : ARRAYS[datatype].from(data);
    return { name, datatype, shape, data: new Uint8Array(values.buffer) };
  });
  const { model_name: modelName, model_version: modelVersion, id = '' } = answer;
  return new InferenceResult({ modelName, modelVersion, id, parameters: NO_PARAMETERS, outputs }, undefined);
}
