/** REST v2 behind the HTTP port: from a request to a call inside, and from its answer to a response. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { freeOwnBuffer } from '../../../http2/own-buffer.ts';
import type { WayBack } from '../../../http2/way-back.ts';
import { formatExactJson } from '../../../wire/exact-json.ts';
import { InferError } from '../../errors.ts';
import type { CancelReason, Trailers } from '../call.ts';
import type { ControlApi } from '../control-service.ts';
import { errorAnswer, type HttpAnswer, type HttpHandler, type RestHandler } from '../http/http-answer.ts';
import { INFERENCE_SERVICE, type InferenceApi } from '../inference-service.ts';
import { slicesOf } from '../sliced-work.ts';
import { SLICES } from '../slices.ts';
import { BodyBudget, BodyCharge } from './body-budget.ts';
import { CrossOrigin } from './cross-origin.ts';
import { InferAnswer } from './infer-answer.ts';
import { inferBody } from './infer-body.ts';
import { type NamedModel, parseInferRequest, rawInferRequest } from './infer-json.ts';
import { openApiDocument } from './open-api.ts';
import { type ReadRequest, RepeatedHeads, readRequestOf } from './repeated-heads.ts';
import { type BodyLimit, readBody } from './request-body.ts';
import { RestCall } from './rest-call.ts';
import { restError } from './rest-error.ts';
import { type PathNames, parseBody, type RestRoute, SMALL_BODY } from './rest-route.ts';
import { type RouteOptions, restRoutes } from './rest-routes.ts';
import { type FoundRoute, isRead, RestTable } from './rest-table.ts';

export interface RestOptions extends RouteOptions {
  /** Version of the package, for the OpenAPI document. */
  readonly version: string;
  /** Longest body with binary tensors, also after decompression; and what the tensors of a body in JSON may take. */
  readonly maxMessageBytes: number;
  /** Longest JSON of a body, also after decompression. */
  readonly maxJsonBytes: number;
  /** Bytes that all requests hold that are not answered. */
  readonly maxInFlightBytes: number;
  /** Time limit of a call, in milliseconds. */
  readonly defaultDeadlineMs: number;
  /** Origins of web pages that may call the paths that change nothing. */
  readonly corsOrigins: readonly string[];
  /** On which the server listens. */
  readonly host: string;
}

/** The body of an inference, and how many of its bytes are JSON before binary tensors; `undefined`: all of them. */
interface InferBytes {
  readonly model: NamedModel;
  readonly path: string;
  readonly body: Buffer;
  readonly length: number | undefined;
}

const OPEN_API_PATH = '/v2/openapi.json';
const HEADER_LENGTH = 'inference-header-content-length';
const JSON_TYPE = { 'content-type': 'application/json' };

export class RestServer implements RestHandler {
  readonly #api: InferenceApi;
  readonly #options: RestOptions;
  readonly #table: RestTable;
  readonly #document: Buffer;
  readonly #budget: BodyBudget;
  readonly #slices = SLICES;
  readonly #heads = new RepeatedHeads();
  readonly #crossOrigin: CrossOrigin;
  #draining = false;

  constructor(api: InferenceApi, control: ControlApi, options: RestOptions) {
    const routes = restRoutes(api, control, options);
    this.#api = api;
    this.#options = options;
    this.#table = new RestTable(routes);
    this.#document = Buffer.from(JSON.stringify(openApiDocument(routes, options.version)));
    this.#budget = new BodyBudget(options.maxInFlightBytes);
    this.#crossOrigin = new CrossOrigin(options.corsOrigins, options.host);
  }

  /** Answers a request of a REST path. Never rejects. */
  readonly handle: HttpHandler = async (request, response, wayBack) => {
    const path = pathOf(request.url ?? '');
    if (!this.#crossOrigin.isOn) return this.#handle(path, request, response, wayBack);
    const methods = path === OPEN_API_PATH ? ['GET'] : this.#table.methodsForPages(path);
    const preflight = this.#crossOrigin.preflight(request, methods);
    if (preflight !== undefined) return preflight;
    const { headers, ...answer } = await this.#handle(path, request, response, wayBack);
    return { ...answer, headers: { ...headers, ...this.#crossOrigin.headersFor(request) } };
  };

  async #handle(
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
    wayBack: WayBack,
  ): Promise<HttpAnswer> {
    const method = request.method ?? '';
    if (path === OPEN_API_PATH) {
      return isRead(method) ? { code: 200, chunks: [this.#document], headers: JSON_TYPE } : refusal(['GET', 'HEAD']);
    }
    const found = this.#table.find(path, method);
    if (!('route' in found)) return refusal(found.allowed);
    const { rpc } = found.route;
    const limitMs = this.#options.defaultDeadlineMs;
    const call = new RestCall(`/${INFERENCE_SERVICE}/${rpc}`, { request, response, wayBack }, limitMs);
    const charge = new BodyCharge(this.#budget);
    try {
      const answered =
        found.route.kind === 'infer'
          ? await this.#infer(await this.#readInfer(found, path, request, call, charge), call, charge)
          : await this.#answer(found.route, found.names, request, call, charge);
      call.succeed();
      return answered;
    } catch (thrown) {
      const error = InferError.from(thrown);
      call.fail(error.status, error.message, undefined, error);
      const { route } = found;
      const { code, body, headers } = (route.kind === 'json' ? route.errorOf : undefined)?.(error) ?? restError(error);
      const report = isInference(route) ? headersOf(this.#api.loadReport(call)) : {};
      return { code, chunks: [Buffer.from(body)], headers: { ...JSON_TYPE, ...headers, ...report } };
    } finally {
      charge[Symbol.dispose]();
    }
  }

  /** Whether the request is an inference that those beside it need not wait for. */
  changesNothing({ url = '', method = '' }: IncomingMessage): boolean {
    const found = this.#table.find(pathOf(url), method);
    if (!('route' in found) || found.route.kind !== 'infer') return false;
    // A name that is percent-encoded is not looked up here, and is unknown.
    return !this.#api.keepsState(found.names['model'] ?? '');
  }

  /** Refuses new inferences from now on. */
  drain(): void {
    this.#draining = true;
  }

  async #answer(
    route: Extract<RestRoute, { kind: 'json' }>,
    encoded: PathNames,
    request: IncomingMessage,
    call: RestCall,
    charge: BodyCharge,
  ): Promise<HttpAnswer> {
    const names = Object.fromEntries(Object.entries(encoded).map(([key, text]) => [key, decode(text)]));
    if (route.isInference === true) this.#refuseInDrain();
    if (route.isControl) this.#crossOrigin.refuseControl(route.rpc, request);
    const refused = route.screen?.();
    if (refused !== undefined) throw refused;
    const body = await call.during(readBody(request, this.#limitOf(route), charge, this.#slices));
    const json = await freedWhereRefused(body, async () => (await route.readBody?.(body)) ?? parseBody(body));
    const { code, ...given } = await route.answer(names, json, { call, charge });
    const chunks = given.json === undefined ? given.chunks : [Buffer.from(formatExactJson(given.json))];
    if (chunks === undefined) return { code, chunks: [], headers: {} };
    const report = isInference(route) ? headersOf(this.#api.loadReport(call)) : {};
    return { code, chunks, headers: { ...report, ...JSON_TYPE } };
  }

  /** A function of its own: the body is gone when it returns, unless tensors are views of it. */
  async #readInfer(
    { names }: FoundRoute,
    path: string,
    request: IncomingMessage,
    call: RestCall,
    charge: BodyCharge,
  ): Promise<ReadRequest> {
    const model = { name: decode(names['model'] ?? ''), version: decode(names['version'] ?? '') };
    this.#refuseInDrain();
    const length = headerLength(call);
    const { maxMessageBytes, maxJsonBytes } = this.#options;
    // A body with binary tensors says where they begin; any other is JSON.
    const limit =
      length === undefined
        ? { maxBytes: maxJsonBytes, setting: 'maxJsonBytes' }
        : { maxBytes: maxMessageBytes, setting: 'maxMessageBytes' };
    const body = await call.during(readBody(request, limit, charge, this.#slices));
    return freedWhereRefused(body, () => this.#parse({ model, path, body, length }, call, charge));
  }

  async #parse({ model, path, body, length }: InferBytes, call: RestCall, charge: BodyCharge): Promise<ReadRequest> {
    const { maxMessageBytes, maxJsonBytes } = this.#options;
    if (length === 0) return this.#rawRequest(model, body);
    const repeated = length === undefined ? undefined : this.#heads.find(path, body, length);
    if (repeated !== undefined) return repeated;
    const bounds = { slices: slicesOf(call, unread), charge, maxJsonBytes, maxTensorBytes: maxMessageBytes };
    const parsed = await parseInferRequest(model, body, bounds, length);
    if (length !== undefined) return this.#heads.add(path, body, length, parsed);
    // All tensors were read from text: no view of the body is left.
    freeOwnBuffer(body);
    return readRequestOf(parsed);
  }

  #rawRequest(model: NamedModel, body: Buffer): ReadRequest {
    const { inputs } = this.#api.modelMetadata(model.name, model.version);
    const needed = inputs.filter(({ optional }) => optional !== true);
    return readRequestOf(rawInferRequest(model, body, needed));
  }

  async #infer({ wire, tensors, binary }: ReadRequest, call: RestCall, charge: BodyCharge): Promise<HttpAnswer> {
    const replied = this.#api.infer(wire, call, tensors);
    if (replied instanceof InferError) throw replied;
    const { response, memory, trailers } = await replied;
    const made = inferBody(new InferAnswer(response, binary), this.#slices, charge);
    const { headerLength: length, ...body } = made instanceof Promise ? await made : made;
    const type =
      length === undefined
        ? JSON_TYPE
        : { 'content-type': 'application/octet-stream', [HEADER_LENGTH]: String(length) };
    const report = this.#api.loadReport(call);
    const isPlain = trailers === undefined && report === undefined;
    const headers = isPlain ? type : { ...headersOf(trailers), ...headersOf(report), ...type };
    return { code: 200, ...body, memory, headers };
  }

  #refuseInDrain(): void {
    if (!this.#draining) return;
    throw new InferError('draining', 'the server ends: try another replica', { pushback: 0 });
  }

  #limitOf({ bodyLimit = SMALL_BODY }: Extract<RestRoute, { kind: 'json' }>): BodyLimit {
    const { maxJsonBytes } = this.#options;
    if (bodyLimit !== 'server' && bodyLimit.maxBytes < maxJsonBytes) return bodyLimit;
    return { maxBytes: maxJsonBytes, setting: 'maxJsonBytes' };
  }
}

/**
 * The result of reading a body. Where `read` throws, nothing has a view of the body, which is freed: the bodies of many refused requests
 * would wait for a collection of the whole heap.
 */
async function freedWhereRefused<Read>(body: Buffer, read: () => Promise<Read>): Promise<Read> {
  try {
    return await read();
  } catch (refusal) {
    freeOwnBuffer(body);
    throw refusal;
  }
}

/** Whether the answers of the route come from models. */
function isInference(route: RestRoute): boolean {
  return route.kind === 'infer' || route.isInference === true;
}

/** The error of a request that ends while it is read. */
function unread(reason: CancelReason): InferError {
  return reason === 'deadline'
    ? new InferError('deadline_exceeded', 'the deadline passed while the request was read')
    : new InferError('cancelled', 'the caller went away');
}

/** Bytes of the JSON before binary tensors; 0: the body is a tensor and nothing else; `undefined`: it is JSON. */
function headerLength(call: RestCall): number | undefined {
  const text = call.get(HEADER_LENGTH);
  if (text === undefined) return undefined;
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new InferError('invalid_request', `${HEADER_LENGTH} is '${text.slice(0, 20)}', expected a number of bytes`);
}

/** Trailing metadata as headers; bytes in Base64, as gRPC carries them. */
function headersOf(trailers: Trailers | undefined): Record<string, string> {
  const fields = Object.entries(trailers ?? {}).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : Buffer.from(value).toString('base64'),
  ]);
  return Object.fromEntries(fields);
}

/** @param allowed the methods of the path; none: there is no such path. */
function refusal(allowed: readonly string[]): HttpAnswer {
  if (allowed.length === 0) return errorAnswer(404, 'Not Found');
  const answer = errorAnswer(405, 'Method Not Allowed');
  return { ...answer, headers: { ...answer.headers, allow: allowed.join(', ') } };
}

function pathOf(target: string): string {
  const end = target.indexOf('?');
  return end < 0 ? target : target.slice(0, end);
}

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new InferError('invalid_request', `'${text.slice(0, 60)}' in the path is not percent-encoded UTF-8`);
  }
}
