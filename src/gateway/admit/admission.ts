/** The budget of bytes that the whole server holds, of requests and of answers that wait: a count alone would be no bound on memory. */

import type { InferRequest } from '../../wire/infer-request.ts';
import { DATATYPE_BYTES, isDatatype } from '../../wire/tensor.ts';
import { InferError } from '../errors.ts';

/** Room that a request takes until it is answered, or an answer until it is sent. */
export class Permit implements Disposable {
  readonly #admission: Admission;
  readonly #requests: number;
  #bytes: number;

  constructor(admission: Admission, bytes: number, requests: number) {
    this.#admission = admission;
    this.#bytes = bytes;
    this.#requests = requests;
  }

  /** Gives the room back, once. */
  [Symbol.dispose](): void {
    if (this.#bytes === 0) return;
    this.#admission.giveBack(this.#bytes, this.#requests);
    this.#bytes = 0;
  }
}

/** Bytes that a request holds: its message, and the raw form that its typed contents are about to get (an INT64 of one byte grows to eight). */
export function footprint(wire: Uint8Array, { inputs }: InferRequest): number {
  let bytes = wire.byteLength;
  for (const { contents, datatype } of inputs) {
    if (contents === undefined) continue;
    const size = isDatatype(datatype) ? DATATYPE_BYTES[datatype] : 0;
    // Strings keep their bytes, which the message counts already, and gain a length of four each.
    bytes += contents.elements * (size ?? 4);
  }
  return bytes;
}

export class Admission {
  readonly #maxBytes: number;
  #bytes = 0;
  #requests = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Requests that hold a permit. */
  get requests(): number {
    return this.#requests;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** More than half of the budget is taken. */
  get loaded(): boolean {
    return this.#bytes > this.#maxBytes / 2;
  }

  /** Why no request is taken now, of whatever size, if so: known before the bytes of one have come. */
  get refusal(): InferError | undefined {
    return this.#bytes < this.#maxBytes ? undefined : this.#full('no more fit');
  }

  /** Takes room for a request of `bytes`, or sheds it. @throws InferError `queue_full` */
  tryAcquire(bytes: number): Permit {
    return this.#take(bytes, 1, 'of this request');
  }

  /** Takes room for an answer of `bytes` that nobody reads yet, or what else a request leaves here, or sheds it. @throws InferError `queue_full` */
  tryHold(bytes: number, whose = 'of an answer that is not read'): Permit {
    return this.#take(bytes, 0, whose);
  }

  #take(bytes: number, requests: number, whose: string): Permit {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw this.#full(`${bytes} more ${whose} do not fit`);
    }
    this.#bytes += bytes;
    this.#requests += requests;
    return new Permit(this, bytes, requests);
  }

  #full(what: string): InferError {
    const text = `the server holds ${this.#bytes} of ${this.#maxBytes} bytes (max_in_flight_bytes): ${what}`;
    return new InferError('queue_full', text, { pushback: Math.ceil(50 + Math.random() * 50) });
  }

  /** For permits alone. */
  giveBack(bytes: number, requests: number): void {
    this.#bytes -= bytes;
    this.#requests -= requests;
  }
}
