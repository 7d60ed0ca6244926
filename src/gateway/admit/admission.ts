/** The byte budget of the whole server, for requests and waiting answers: a count of requests would not bound the memory. */

import { BYTES_LENGTH_SIZE } from '../../wire/bytes-tensor.ts';
import type { InferInput, InferRequest } from '../../wire/infer-request.ts';
import { DATATYPE_BYTES, elementCount, isDatatype } from '../../wire/tensor.ts';
import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import { mostElements } from '../../wire/typed-contents.ts';
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

/** Memory of a text in the runner besides its bytes: a string of JavaScript and a string of ONNX Runtime. */
const STRING_BYTES = 64;

/**
 * Bytes that a request holds: its message; the raw form that its typed contents are about to get (an INT64 of one byte grows to
 * eight); and the strings that its texts become. By what its shapes say, as far as its contents can hold so much.
 */
export function footprint(messageBytes: number, { inputs, rawInputContents }: InferRequest<TensorBytes>): number {
  let bytes = messageBytes;
  for (const [index, input] of inputs.entries()) bytes += growthOf(input, rawInputContents[index]);
  return bytes;
}

function growthOf({ contents, datatype, shape }: InferInput, raw: TensorBytes | undefined): number {
  if (!isDatatype(datatype)) return 0;
  const size = DATATYPE_BYTES[datatype];
  if (contents === undefined) {
    const held = size === undefined && raw !== undefined ? Math.floor(raw.byteLength / BYTES_LENGTH_SIZE) : 0;
    return held === 0 ? 0 : Math.min(elementCount(shape) ?? held, held) * STRING_BYTES;
  }
  const held = mostElements(contents.byteLength, datatype);
  const elements = Math.min(elementCount(shape) ?? held, held);
  return size === undefined ? contents.byteLength + elements * STRING_BYTES : elements * size;
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
  get isBusy(): boolean {
    return this.#bytes > this.#maxBytes / 2;
  }

  /** Why no request is taken now, of whatever size, if so: known before the bytes of one have come. */
  get refusal(): InferError | undefined {
    return this.#bytes < this.#maxBytes ? undefined : this.#full('no more fit');
  }

  /** Takes room for a request of `bytes`, or sheds it. @throws InferError `queue_full` */
  tryAcquire(bytes: number): Permit {
    return this.#take(bytes, 1, 'this request');
  }

  /** Reserves `bytes` for an unread answer, or for other data of a finished request, or sheds it. @throws InferError `queue_full` */
  tryHold(bytes: number, whose = 'an answer that is not read'): Permit {
    return this.#take(bytes, 0, whose);
  }

  #take(bytes: number, requests: number, whose: string): Permit {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw this.#full(`${bytes} more of ${whose} do not fit`);
    }
    this.#bytes += bytes;
    this.#requests += requests;
    return new Permit(this, bytes, requests);
  }

  #full(what: string): InferError {
    const text = `the server holds ${this.#bytes} of ${this.#maxBytes} bytes (maxInFlightBytes): ${what}`;
    return new InferError('queue_full', text, { pushback: Math.ceil(50 + Math.random() * 50) });
  }

  /** Called only by permits. */
  giveBack(bytes: number, requests: number): void {
    this.#bytes -= bytes;
    this.#requests -= requests;
  }
}
