/** REST v2 behind the HTTP port: from a request to a call inside, and from its answer to a response. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { WayBack } from '../../../http2/way-back.ts';
import { formatExactJson } from '../../../wire/exact-json.ts';
import { encodeInferRequest } from '../../../wire/infer-request.ts';
import { InferError } from '../../errors.ts';
import type { CancelReason, Trailers } from '../call.ts';
import type { ControlApi } from '../control-service.ts';
import { errorAnswer, type HttpAnswer } from '../http/http-answer.ts';
import { INFERENCE_SERVICE, type InferenceApi } from '../inference-service.ts';
import { slicesOf } from '../sliced-work.ts';
import { SLICES } from '../slices.ts';
import { BodyBudget, BodyCharge } from './body-budget.ts';
import { InferAnswer } from './infer-answer.ts';
import { inferBody } from './infer-body.ts';
import { type ParsedRequest, parseInferRequest, rawInferRequest } from './infer-json.ts';
import { openApiDocument } from './open-api.ts';
import { type BodyLimit, readBody } from './request-body.ts';
import { RestCall } from './rest-call.ts';
import { restError } from './rest-error.ts';
import { type PathNames, parseBody, type RestRoute, SMALL_BODY } from './rest-route.ts';
import { restRoutes } from './rest-routes.ts';

export interface RestOptions {
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
  /** Whether the RPCs that change the server are served here, and not only on an admin port. */
  readonly servesAdmin: boolean;
}

const OPEN_API_PATH = '/v2/openapi.json';
const HEADER_LENGTH = 'inference-header-content-length';
const JSON_TYPE = { 'content-type': 'application/json' };

interface Found {
  readonly route: RestRoute;
  readonly names: PathNames;
}

export class RestServer {
  readonly #api: InferenceApi;
  readonly #options: RestOptions;
  readonly #table: readonly { readonly route: RestRoute; readonly pattern: RegExp }[];
  readonly #document: Buffer;
  readonly #budget: BodyBudget;
  readonly #slices = SLICES;
  #draining = false;

  constructor(api: InferenceApi, control: ControlApi, options: RestOptions) {
    const routes = restRoutes(api, control, options.servesAdmin);
    this.#api = api;
    this.#options = options;
    this.#table = routes.map((route) => ({ route, pattern: patternOf(route.path) }));
    this.#document = Buffer.from(JSON.stringify(openApiDocument(routes, options.version)));
    this.#budget = new BodyBudget(options.maxInFlightBytes);
  }

  /** Answers a request of a REST path. Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse, wayBack: WayBack): Promise<HttpAnswer> {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const method = request.method ?? '';
    if (path === OPEN_API_PATH) {
      return isRead(method) ? { code: 200, chunks: [this.#document], headers: JSON_TYPE } : refusal(['GET', 'HEAD']);
    }
    const found = this.#find(path, method);
    if (!('route' in found)) return refusal(found.allowed);
    const { rpc } = found.route;
    const limitMs = this.#options.defaultDeadlineMs;
    const call = new RestCall(`/${INFERENCE_SERVICE}/${rpc}`, { request, response, wayBack }, limitMs);
    const charge = new BodyCharge(this.#budget);
    try {
      const answered = await this.#answer(found, request, call, charge);
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

  /** Refuses new inferences from now on. */
  drain(): void {
    this.#draining = true;
  }

  /** The route and what its path names, or the methods that the path has: none where there is no such path. */
  #find(path: string, method: string): Found | { readonly allowed: readonly string[] } {
    const allowed: string[] = [];
    for (const { route, pattern } of this.#table) {
      const groups = pattern.exec(path)?.groups ?? (pattern.test(path) ? {} : undefined);
      if (groups === undefined) continue;
      if (route.method === method || (route.method === 'GET' && isRead(method))) return { route, names: groups };
      allowed.push(...(route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
    }
    return { allowed };
  }

  async #answer(
    { route, names: encoded }: Found,
    request: IncomingMessage,
    call: RestCall,
    charge: BodyCharge,
  ): Promise<HttpAnswer> {
    const names = Object.fromEntries(Object.entries(encoded).map(([key, text]) => [key, decode(text)]));
    if (isInference(route) && this.#draining) {
      throw new InferError('draining', 'the server ends: try another replica', { pushback: 0 });
    }
    if (route.kind === 'infer') {
      return this.#infer(await this.#readInfer(route, names, request, call, charge), call, charge);
    }
    const refused = route.screen?.();
    if (refused !== undefined) throw refused;
    const body = await this.#read(route, request, call, charge);
    const json = (await route.readBody?.(body)) ?? parseBody(body);
    const { code, ...given } = await route.answer(names, json, { call, charge });
    const chunks = given.json === undefined ? given.chunks : [Buffer.from(formatExactJson(given.json))];
    if (chunks === undefined) return { code, chunks: [], headers: {} };
    const report = isInference(route) ? headersOf(this.#api.loadReport(call)) : {};
    return { code, chunks, headers: { ...report, ...JSON_TYPE } };
  }

  #read(route: RestRoute, request: IncomingMessage, call: RestCall, charge: BodyCharge): Promise<Buffer> {
    return call.during(readBody(request, this.#limitOf(route, call), charge, this.#slices));
  }

  /** A function of its own: the body is gone when it returns, unless tensors are views of it. */
  async #readInfer(
    route: RestRoute,
    names: PathNames,
    request: IncomingMessage,
    call: RestCall,
    charge: BodyCharge,
  ): Promise<ParsedRequest> {
    const model = { name: names['model'] ?? '', version: names['version'] ?? '' };
    const length = headerLength(call);
    const body = await this.#read(route, request, call, charge);
    if (length === 0) {
      const { inputs } = this.#api.modelMetadata(model.name, model.version);
      return rawInferRequest(
        model,
        body,
        inputs.filter(({ optional }) => optional !== true),
      );
    }
    const { maxJsonBytes, maxMessageBytes: maxTensorBytes } = this.#options;
    return parseInferRequest(
      model,
      body,
      { slices: slicesOf(call, unread), charge, maxJsonBytes, maxTensorBytes },
      length,
    );
  }

  async #infer({ request, binary }: ParsedRequest, call: RestCall, charge: BodyCharge): Promise<HttpAnswer> {
    const { rawInputContents, ...head } = request;
    const wire = Buffer.concat(encodeInferRequest({ ...head, rawInputContents: [] }));
    const replied = this.#api.infer(wire, call, rawInputContents);
    if (replied instanceof InferError) throw replied;
    const { response, trailers } = await replied;
    const answer = new InferAnswer(response, binary);
    const { headerLength: length, ...body } = await inferBody(answer, this.#slices, charge);
    const type =
      length === undefined
        ? JSON_TYPE
        : { 'content-type': 'application/octet-stream', [HEADER_LENGTH]: String(length) };
    const headers = { ...headersOf(trailers), ...headersOf(this.#api.loadReport(call)), ...type };
    return { code: 200, ...body, headers };
  }

  #limitOf(route: RestRoute, call: RestCall): BodyLimit {
    const { maxMessageBytes, maxJsonBytes } = this.#options;
    if (route.kind === 'json') {
      const { bodyLimit = SMALL_BODY } = route;
      if (bodyLimit !== 'server' && bodyLimit.maxBytes < maxJsonBytes) return bodyLimit;
    } else if (call.get(HEADER_LENGTH) !== undefined) {
      // A body with binary tensors says where they begin; any other is JSON.
      return { maxBytes: maxMessageBytes, setting: 'maxMessageBytes' };
    }
    return { maxBytes: maxJsonBytes, setting: 'maxJsonBytes' };
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

/** `/v2/models/{model}` as an expression whose groups are the names; a name is anything between two slashes. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}/?$`);
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new InferError('invalid_request', `'${text.slice(0, 60)}' in the path is not percent-encoded UTF-8`);
  }
}
