/** Load on the REST port: one body that is sent again and again, over connections that stay open. */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { runH2load } from './h2load.ts';
import { runClient } from './processes.ts';

/** As long as the calls over gRPC have: a request without it is due after the objective, and refused when it will be late. */
const TIMEOUT_US = 20_000_000;
const PIPELINING_CLIENT = fileURLToPath(new URL('./pipelining-client.ts', import.meta.url));

/** One request to `POST /v2/models/{model}/infer`. */
export class RestLoad {
  readonly #file: string;
  readonly #path: string;
  readonly #headers: readonly string[];

  private constructor(scratch: string, model: string, form: string, body: Uint8Array, headers: readonly string[]) {
    this.#file = path.join(scratch, `${model}.${form}`);
    this.#path = `/v2/models/${model}/infer`;
    this.#headers = headers;
    fs.writeFileSync(this.#file, body);
  }

  /** Binary both ways (Triton: extension_binary_data.md): `data` fills the FP32 input `x` of one row. */
  static binary(scratch: string, model: string, data: Uint8Array): RestLoad {
    const json = Buffer.from(
      JSON.stringify({
        inputs: [
          {
            name: 'x',
            datatype: 'FP32',
            shape: [1, data.byteLength / 4],
            parameters: { binary_data_size: data.byteLength },
          },
        ],
        parameters: { binary_data_output: true, timeout: TIMEOUT_US },
      }),
    );
    return new RestLoad(scratch, model, 'binary', Buffer.concat([json, data]), [
      'content-type: application/octet-stream',
      `inference-header-content-length: ${json.byteLength}`,
    ]);
  }

  /** JSON both ways, with the shortest decimal forms of the FP32 elements. */
  static json(scratch: string, model: string, elements: readonly number[]): RestLoad {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, elements.length], data: elements }];
    const body = Buffer.from(JSON.stringify({ inputs, parameters: { timeout: TIMEOUT_US } }));
    return new RestLoad(scratch, model, 'json', body, ['content-type: application/json']);
  }

  /**
   * Keeps connections busy for `seconds`, by h2load.
   * @param answerBytes that an answer has at least
   * @returns how many were answered. @throws Error where one was not
   */
  closedLoop(port: number, connections: number, seconds: number, answerBytes: number): Promise<number> {
    return this.#run(port, ['-D', String(seconds), '-c', String(connections)], answerBytes);
  }

  /** Keeps `depth` requests under way on one connection, by `pipelining-client.ts`. @returns how many were answered */
  async pipelinedLoop(port: number, depth: number, seconds: number): Promise<number> {
    const body = fs.readFileSync(this.#file);
    const lines = [
      `POST ${this.#path} HTTP/1.1`,
      'host: bench',
      ...this.#headers,
      `content-length: ${body.byteLength}`,
    ];
    const file = `${this.#file}.request`;
    fs.writeFileSync(file, Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]));
    return Number(await runClient(process.execPath, [PIPELINING_CLIENT, ...[port, depth, seconds].map(String), file]));
  }

  /** Sends `count` requests, one at a time: for requests so long that those cut short at the end of a closed loop would count. */
  oneByOne(port: number, count: number, answerBytes: number): Promise<number> {
    return this.#run(port, ['-n', String(count), '-c', '1'], answerBytes);
  }

  async #run(port: number, load: readonly string[], answerBytes: number): Promise<number> {
    const { done, bytes, stdout } = await runH2load([
      ...['--h1', ...load, '-d', this.#file, ...this.#headers.flatMap((header) => ['-H', header])],
      `http://127.0.0.1:${port}${this.#path}`,
    ]);
    if (bytes < done * answerBytes) throw new Error(`calls failed:\n${stdout}`);
    return done;
  }
}
