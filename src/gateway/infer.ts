/**
 * LIFE OF A REQUEST
 *
 *   accept/ ──▶ admit/ ──▶ batch/ ──▶ dispatch/ ══ mailbox ══▶ src/worker/, in another process
 *      ◀─────── encode/ ◀───────────────┘       ◀═════════════
 *
 * Each line of `travel` is a stage, and each stage is a folder beside this file. What a stage throws is an InferError:
 * it ends the request there, and `accept/` makes the status of it. Before the first stage runs `early-refusal.ts`: it checks the
 * tenant's rate limit and, under overload, refuses a request by its head.
 */

import { type InferParameters, NO_PARAMETERS } from '../wire/infer-parameter.ts';
import { type InferRequest, peekModelName } from '../wire/infer-request.ts';
import type { TensorBytes } from '../wire/tensor-bytes.ts';
import type { Call } from './accept/call.ts';
import { inSlices } from './accept/sliced-work.ts';
import { type Admission, footprint } from './admit/admission.ts';
import { decode } from './admit/decode.ts';
import type { Entrance } from './admit/early-refusal.ts';
import { isLarge, LARGE_BYTES } from './admit/large-inputs.ts';
import { readLargeRequest } from './admit/large-request.ts';
import { readTerms } from './admit/request-parameters.ts';
import type { RequestTerms, SentOutput } from './admit/request-terms.ts';
import { wantedOutputs } from './admit/requested-outputs.ts';
import { validate } from './admit/validate.ts';
import { AnswerWriting, type EncodedAnswer, encode, isLargeAnswer, type TypedAnswers } from './encode/answer.ts';
import { InferError } from './errors.ts';
import type { Answer, InferenceRecord } from './inference-record.ts';
import type { InputRecorder } from './models/input-recorder.ts';
import type { ModelTable } from './models/model-table.ts';
import type { Servable } from './models/servable.ts';
import type { Shadows } from './rollout/shadow.ts';

/** Dependencies of the path of a request. */
export interface Gateway extends Entrance<Servable> {
  readonly models: ModelTable;
  readonly admission: Admission;
  readonly maxMessageBytes: number;
  readonly shadows: Pick<Shadows, 'mirror'>;
  readonly typedAnswers: TypedAnswers;
  /** `undefined`: nothing of requests is kept. */
  readonly recorder?: Pick<InputRecorder, 'sample'> | undefined;
}

/** How the answers of a request leave, where it is not a single one. */
export interface AnswerTerms {
  /** Parameters of the response. */
  readonly parameters: InferParameters;
  /** Takes the parts of an encoded answer of a decoupled model, before the last one, with these parameters. */
  readonly partial?: { readonly parameters: InferParameters; deliver(chunks: readonly Uint8Array[]): Promise<void> };
}

const ONE_ANSWER: AnswerTerms = { parameters: NO_PARAMETERS };

/**
 * Answers one ModelInferRequest that was not refused early.
 * @throws InferError
 */
export async function infer(
  record: InferenceRecord,
  gateway: Gateway,
  answers: AnswerTerms = ONE_ANSWER,
): Promise<Answer> {
  try {
    return record.answered(await travel(record, gateway, answers));
  } catch (thrown) {
    const failure = record.failed(thrown);
    gateway.pressure.note(failure.reason, performance.now());
    throw failure;
  } finally {
    // Not `using`, which costs more than a stage of the path where it has to be compiled for Node 22.
    record.end();
  }
}

async function travel(record: InferenceRecord, gateway: Gateway, answers: AnswerTerms): Promise<Answer> {
  const { call } = record;
  const decoded = decodeFor(record, gateway); // admit/: bytes -> request
  const request = decoded instanceof Promise ? await decoded : decoded;
  record.request = request;
  record.requestId = request.id;
  const { onDemand } = gateway; // on-demand.ts: it may have to be loaded first
  if (onDemand?.isCold(request.modelName))
    await onDemand.activate(request.modelName, call, footprint(record.bytes, request));
  const isSlow = record.bytes > LARGE_BYTES && isLarge(request);
  const values = isSlow ? await readLargeRequest(record, request, gateway) : undefined; // large-request.ts: millions of elements, in slices
  // LIFE-2 (model-lifecycle.ts): no `await` from here to `enqueue`. A version that leaves the table in between would end without it.
  const model = gateway.models.find(request.modelName, request.modelVersion, call); // model-table.ts
  record.model = model;
  const { signature, axis, batcher, isDecoupled = false } = model.ready; // servable.ts
  const terms = readTerms(request.parameters); // admit/: reserved parameters
  const wanted = wantedOutputs(request.outputs, signature, request.modelName); // admit/: requested outputs
  record.permit ??= gateway.admission.tryAcquire(footprint(record.bytes, request)); // admit/: room, or shed
  const tensors = validate(request, signature, values); // admit/: it can be run
  record.rows = tensors.rows;
  gateway.recorder?.sample(model, tensors); // input-recorder.ts: a sample of rows, where that is asked for
  const form = { model: model.ref, axis, typedAnswers: gateway.typedAnswers, parameters: answers.parameters };
  const encodeEarly: EncodeEarly = (early, parameters) => encode(request, wanted, early, { ...form, parameters });
  const own = isDecoupled ? { ...terms, send: sendingOf(answers, encodeEarly) } : terms;
  const { outputs, memory, timing, requestIsSpent = false } = await batcher.enqueue(tensors, call, own, wanted); // batch/ -> dispatch/ -> worker
  const isCopied = gateway.shadows.mirror(record, outputs, timing); // shadow.ts: a copy for another version, later
  const { response, chunks } = isLargeAnswer(request, wanted, outputs, gateway.typedAnswers)
    ? await encodeInSlices(new AnswerWriting(request, wanted, outputs, form), call)
    : encode(request, wanted, outputs, form); // encode/: outputs -> bytes
  const isSpent = requestIsSpent && !isCopied;
  return { chunks, response, memory: isCopied ? undefined : memory, timing, requestIsSpent: isSpent, isDecoupled };
}

type EncodeEarly = (outputs: readonly SentOutput[], parameters: InferParameters) => EncodedAnswer;

/** How answers before the last one leave; `undefined` where the caller takes only one. */
function sendingOf({ partial }: AnswerTerms, encodeEarly: EncodeEarly): RequestTerms['send'] {
  return partial && ((outputs) => partial.deliver(encodeEarly(outputs, partial.parameters).chunks));
}

/** The limits of a message follow from the models that are loaded: one for a model that is not may be too large until it is. */
function decodeFor(
  record: InferenceRecord,
  gateway: Gateway,
): InferRequest<TensorBytes> | Promise<InferRequest<TensorBytes>> {
  try {
    return decode(record.wire, gateway.limits.current, record.tensors);
  } catch (refusal) {
    if (!(refusal instanceof InferError) || refusal.reason !== 'limit_exceeded') throw refusal;
    return decodeOnceLoaded(record, gateway);
  }
}

/** @throws InferError with why the model cannot be asked at all, where that is so, before what its message passes */
async function decodeOnceLoaded(
  { wire, tensors, bytes, call }: InferenceRecord,
  { limits, models, onDemand }: Gateway,
): Promise<InferRequest<TensorBytes>> {
  const name = peekModelName(wire, limits.current);
  if (onDemand?.isCold(name)) await onDemand.activate(name, call, bytes);
  if (name !== '') void models.find(name, '').ready;
  return decode(wire, limits.current, tensors);
}

async function encodeInSlices(writing: AnswerWriting, call: Call): Promise<EncodedAnswer> {
  await inSlices(writing, call);
  return writing.finish();
}
