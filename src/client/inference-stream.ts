/** The requests and the answers of ModelStreamInfer. */

import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import { decodeStreamResponse, type InferResponse } from '../wire/infer-response.ts';
import { STREAM_STATUS } from '../wire/stream-status.ts';
import type { CallPath } from './call-path.ts';
import type { CallOptions, StreamAnswer, StreamRequest } from './client-options.ts';
import { InferenceError } from './inference-error.ts';
import { encodeRequest } from './inference-request.ts';
import { InferenceResult } from './inference-result.ts';
import { MODEL_STREAM_INFER } from './inference-service.ts';
import { openReadStream } from './read-stream.ts';
import { RESPONSE_LIMITS } from './response-limits.ts';

type StreamCall = ClientDuplexStream<Buffer, ReturnType<typeof decodeStreamResponse>>;

/** Sends `requests` over one stream and yields their answers in order. */
export async function* streamInfer(
  calls: CallPath,
  requests: Iterable<StreamRequest> | AsyncIterable<StreamRequest>,
  options: CallOptions,
): AsyncGenerator<StreamAnswer, void, undefined> {
  let failed: { readonly cause: unknown } | undefined;
  const models = new SentModels();
  const answers = openReadStream(calls, MODEL_STREAM_INFER, options, ({ grpc, metadata }, terms) => {
    const call: StreamCall = grpc.makeBidiStreamRequest(
      MODEL_STREAM_INFER,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => decodeStreamResponse(bytes, RESPONSE_LIMITS),
      metadata,
      terms,
    );
    writeRequests(call, requests, models).catch((cause: unknown) => {
      failed = { cause };
      call.cancel();
    });
    return call;
  });
  try {
    for await (const { errorMessage, response } of answers)
      yield toAnswer(errorMessage, response, models.answered(response?.id ?? ''));
  } catch (error) {
    // An error of the caller's own iterable has cancelled the call.
    if (failed !== undefined) throw failed.cause;
    throw error;
  }
}

/** Writes the requests as fast as the server takes them. Rejects only where `requests` throws, or one cannot be sent. */
async function writeRequests(
  call: StreamCall,
  requests: Iterable<StreamRequest> | AsyncIterable<StreamRequest>,
  models: SentModels,
): Promise<void> {
  let over = false;
  call.once('status', () => {
    over = true;
  });
  for await (const { model, inputs, ...options } of requests) {
    if (over) return;
    models.sent(options.id ?? '', model);
    if (!call.write(encodeRequest(model, inputs, options))) await untilRoom(call);
  }
  call.end();
}

/** Resolves when the call takes more, or takes nothing any more. */
function untilRoom(call: StreamCall): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off('drain', done);
      call.off('status', done);
      resolve();
    };
    call.on('drain', done);
    call.on('status', done);
  });
}

/** The models that unanswered requests are about: an in-band failure names only the id. */
class SentModels {
  /** Models by id. Requests with equal ids are taken to be answered in order. */
  readonly #byId = new Map<string, string[]>();

  sent(id: string, model: string): void {
    const models = this.#byId.get(id);
    if (models === undefined) this.#byId.set(id, [model]);
    else models.push(model);
  }

  answered(id: string): string | undefined {
    const models = this.#byId.get(id);
    const model = models?.shift();
    if (models?.length === 0) this.#byId.delete(id);
    return model;
  }
}

/** A failed request is answered in band. tensorgate says its status in the parameters of the response; other servers say only its text. */
function toAnswer(errorMessage: string, response: InferResponse | undefined, model: string | undefined): StreamAnswer {
  const id = response?.id ?? '';
  if (errorMessage === '' && response !== undefined) {
    return { kind: 'result', id, result: new InferenceResult(response, undefined) };
  }
  const said = (name: string): string | undefined => {
    const parameter = response?.parameters.get(name);
    return parameter === undefined || parameter.kind === 'none' ? undefined : String(parameter.value);
  };
  const code = said(STREAM_STATUS.code);
  const pushback = said(STREAM_STATUS.pushbackMs);
  const error = new InferenceError(code === undefined ? status.UNKNOWN : Number(code), errorMessage, {
    model,
    reason: said(STREAM_STATUS.reason),
    pushbackMs: pushback === undefined ? undefined : Number(pushback),
  });
  return { kind: 'error', id, error };
}
