import { JsonTensorError } from '../../../wire/json-tensor.ts';
import { JsonTensorReader } from '../../../wire/json-tensor-reader.ts';
import { DATATYPE_BYTES, isDatatype, type Shape } from '../../../wire/tensor.ts';
import { InferError } from '../../errors.ts';
import type { SliceSource } from '../slices.ts';
import type { BodyCharge } from './body-budget.ts';
import { invalid, type JsonObject, spanIn, unexpected } from './json-field.ts';

export interface RequestBounds {
  readonly slices: SliceSource;
  readonly charge: Pick<BodyCharge, 'take'>;
  readonly maxJsonBytes: number;
  /** Bytes that all tensors may have in raw form. */
  readonly maxTensorBytes: number;
}

/** Bytes of JSON that are read between two looks at the clock: some 150 us. */
const STEP_BYTES = 64 * 1024;

/** The elements in `data` of the inputs of one request, flat or nested. */
export class JsonData {
  readonly #bytes: Buffer;
  readonly #bounds: RequestBounds;
  #rawBytes = 0;

  /** @param bytes the JSON of the request */
  constructor(bytes: Buffer, bounds: RequestBounds) {
    this.#bytes = bytes;
    this.#bounds = bounds;
  }

  /** The elements of `input` in raw form. @throws InferError */
  async read(input: JsonObject, where: string, datatype: string, shape: Shape): Promise<Uint8Array> {
    const data = spanIn(input, 'data', where);
    if (!isDatatype(datatype)) {
      throw unexpected(`'datatype' of ${where}`, `one of ${Object.keys(DATATYPE_BYTES).join(', ')}`, datatype);
    }
    const { slices } = this.#bounds;
    try {
      const reader = new JsonTensorReader(this.#bytes, data, datatype, shape);
      this.#admit(reader.rawBytes, where);
      while (!reader.advance(STEP_BYTES)) if (slices.isOver) await slices.next();
      return reader.raw;
    } catch (error) {
      if (error instanceof JsonTensorError) throw invalid(`Unable to parse 'data' of ${where}: ${error.message}`);
      throw error;
    }
  }

  /** One digit and a comma may stand for eight bytes: a tensor that gRPC would not take is not made of them. */
  #admit(bytes: number, where: string): void {
    const { maxTensorBytes, charge } = this.#bounds;
    this.#rawBytes += bytes;
    if (this.#rawBytes > maxTensorBytes) {
      const text = `the tensors of the request take ${this.#rawBytes} bytes with ${where}, at most ${maxTensorBytes} are allowed (maxMessageBytes)`;
      throw new InferError('limit_exceeded', text);
    }
    charge.take(bytes);
  }
}
