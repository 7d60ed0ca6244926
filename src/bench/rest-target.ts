import http from 'node:http';
import https from 'node:https';
import { formatExactJson } from '../wire/exact-json.ts';
import { rawToJson } from '../wire/json-tensor.ts';
import { elementCount } from '../wire/tensor.ts';
import type { CallOutcome, CallTarget, NamedTensor, PreparedCall, TargetAddress, TargetModel } from './call-target.ts';

/** `binary`: tensors follow the JSON (Triton: extension_binary_data.md), both ways. */
export type RestForm = 'json' | 'binary';

/** `/v2/models/NAME` or `/v2/models/NAME/versions/VERSION`. */
export function modelPath({ name, version }: TargetModel): string {
  const path = `/v2/models/${encodeURIComponent(name)}`;
  return version === '' ? path : `${path}/versions/${encodeURIComponent(version)}`;
}

interface Answer {
  readonly code: number;
  readonly body: Buffer;
}

/** Infer over REST, on connections that stay open. Answers are received whole; only errors are read. */
export class RestTarget implements CallTarget {
  readonly #address: TargetAddress;
  readonly #model: TargetModel;
  readonly #form: RestForm;
  readonly #agent: http.Agent;

  constructor(address: TargetAddress, model: TargetModel, form: RestForm) {
    this.#address = address;
    this.#model = model;
    this.#form = form;
    const { tls } = address;
    const options = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 1_024 };
    this.#agent = tls === undefined ? new http.Agent(options) : new https.Agent({ ...options, ...tls });
  }

  prepare(inputs: readonly NamedTensor[]): PreparedCall {
    const path = `${modelPath(this.#model)}/infer`;
    const { headers, body } = this.#form === 'binary' ? binaryBody(inputs) : jsonBody(inputs);
    return async (deadlineMs): Promise<CallOutcome> => {
      try {
        const answer = await this.#send('POST', path, deadlineMs, headers, body);
        return answer.code === 200
          ? { status: 'OK', details: '' }
          : { status: `HTTP ${answer.code}`, details: errorOf(answer.body) };
      } catch (error) {
        const { code = 'UNAVAILABLE', message } = error as NodeJS.ErrnoException;
        return { status: code, details: message };
      }
    };
  }

  /**
   * The JSON of a GET; `undefined` where the server does not have the page.
   * @throws Error where it cannot be had
   */
  async read(path: string, deadlineMs: number): Promise<unknown> {
    const { code, body } = await this.#send('GET', path, deadlineMs, {}, undefined);
    if (code === 200) return JSON.parse(body.toString());
    if (code === 404 || code === 405 || code === 501) return undefined;
    throw new Error(`${path} is answered with HTTP ${code}: ${errorOf(body)}`);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #send(
    method: string,
    path: string,
    deadlineMs: number,
    headers: http.OutgoingHttpHeaders,
    body: Buffer | undefined,
  ): Promise<Answer> {
    const { host, port, tls, headers: common } = this.#address;
    const { request } = tls === undefined ? http : https;
    const options = { method, host, port, path, agent: this.#agent, headers: { ...common, ...headers } };
    return new Promise((resolve, reject) => {
      const sent = request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ code: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      });
      const timer = setTimeout(() => {
        sent.destroy(Object.assign(new Error(`no answer within ${deadlineMs} ms`), { code: 'DEADLINE_EXCEEDED' }));
      }, deadlineMs);
      sent.on('close', () => clearTimeout(timer));
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

interface Body {
  readonly headers: http.OutgoingHttpHeaders;
  readonly body: Buffer;
}

function jsonBody(inputs: readonly NamedTensor[]): Body {
  const tensors = inputs.map(({ name, datatype, shape, data }) => ({
    name,
    datatype,
    shape,
    data: rawToJson(datatype, data, elementCount(shape) ?? 0),
  }));
  const body = Buffer.from(formatExactJson({ inputs: tensors }));
  return { headers: { 'content-type': 'application/json', 'content-length': body.byteLength }, body };
}

function binaryBody(inputs: readonly NamedTensor[]): Body {
  const tensors = inputs.map(({ name, datatype, shape, data }) => ({
    name,
    datatype,
    shape,
    parameters: { binary_data_size: data.byteLength },
  }));
  const head = Buffer.from(JSON.stringify({ inputs: tensors, parameters: { binary_data_output: true } }));
  const body = Buffer.concat([head, ...inputs.map(({ data }) => data)]);
  return {
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': body.byteLength,
      'inference-header-content-length': head.byteLength,
    },
    body,
  };
}

/** The text of a body such as `{"error": "…"}`. */
function errorOf(body: Buffer): string {
  const text = body.toString();
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === 'string' ? error : text;
  } catch {
    return text;
  }
}
