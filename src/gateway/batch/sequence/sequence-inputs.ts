/** Maps a client's tensors and its sequence to the inputs of the session, and its outputs to the next state. */

import { encodeBytesTensor } from '../../../wire/bytes-tensor.ts';
import type { Datatype, Shape } from '../../../wire/tensor.ts';
import { bytesOf } from '../../../wire/tensor-bytes.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { SequenceTerms } from '../../admit/request-terms.ts';
import { InferError } from '../../errors.ts';
import type { Control, ControlSpec, StateSpec } from '../../repository/signature/sequence-signature.ts';
import type { OutputTensor } from '../queued-request.ts';
import type { Sequence } from './sequence.ts';

type Source =
  | { readonly kind: 'client'; readonly index: number }
  | { readonly kind: 'state'; readonly index: number; readonly shape: Shape }
  | { readonly kind: 'correlation-id'; readonly index: number; readonly shape: Shape }
  | { readonly kind: 'flag'; readonly flag: Exclude<Control, { kind: 'correlation-id' }>; readonly shape: Shape };

interface CorrelationId {
  readonly input: string;
  readonly datatype: Datatype;
}

export class SequenceInputs {
  readonly #sources: readonly Source[];
  readonly #states: readonly StateSpec[];
  readonly #correlationIds: CorrelationId[] = [];
  readonly initial: readonly Uint8Array[];
  readonly stateBytes: number;

  /** @param inputs how many the session has. */
  constructor(inputs: number, states: readonly StateSpec[], controls: readonly ControlSpec[]) {
    this.#states = states;
    this.initial = states.map(({ initial }) => initial);
    this.stateBytes = this.initial.reduce((sum, { byteLength }) => sum + byteLength, 0);
    let clients = 0;
    this.#sources = Array.from({ length: inputs }, (_, input): Source => {
      const state = states.findIndex((spec) => spec.input === input);
      const { shape } = states[state] ?? {};
      if (shape !== undefined) return { kind: 'state', index: state, shape };
      const spec = controls.find((one) => one.input === input);
      return spec === undefined ? { kind: 'client', index: clients++ } : this.#sourceOf(spec);
    });
  }

  #sourceOf({ name, shape, control }: ControlSpec): Source {
    if (control.kind !== 'correlation-id') return { kind: 'flag', flag: control, shape };
    const index = this.#correlationIds.push({ input: name, datatype: control.datatype }) - 1;
    return { kind: 'correlation-id', index, shape };
  }

  /**
   * The correlation id as each control takes it.
   * @throws InferError `invalid_request` where one cannot hold it.
   */
  encodeId(id: SequenceTerms['id']): Uint8Array[] {
    return this.#correlationIds.map(({ input, datatype }) => {
      const value = encodeId(id, datatype);
      if (value !== undefined) return value;
      const text = `the correlation ID ${typeof id === 'bigint' ? id : `'${id}'`} does not fit the model's input '${input}' of datatype ${datatype}`;
      throw new InferError('invalid_request', text);
    });
  }

  /** Inputs of the session for a request of one row. */
  compose(tensors: InferTensors, sequence: Sequence, end: boolean): InferTensors {
    const inputs: Uint8Array[] = [];
    const shapes: Shape[] = [];
    for (const source of this.#sources) {
      inputs.push(take(source, tensors, sequence, end));
      shapes.push(source.kind === 'client' ? (tensors.shapes[source.index] ?? []) : source.shape);
    }
    // Added tensors have the same shape for all requests: the bucket of the client's tensors stays.
    const { requestId, size, bucket } = tensors;
    return { requestId, rows: 1, size, bytes: tensors.bytes + this.stateBytes, bucket, inputs, shapes };
  }

  /**
   * Copies the states: the outputs are views of a whole batch's outputs, which the states would otherwise keep alive.
   * @throws Error if an output does not fit.
   */
  statesOf(outputs: readonly OutputTensor[]): Uint8Array[] {
    return this.#states.map(({ outputName, shape, initial }) => {
      const output = outputs.find(({ name }) => name === outputName);
      if (output?.data.byteLength === initial.byteLength) return new Uint8Array(output.data);
      throw new Error(`the state output '${outputName}' has the shape [${output?.shape}], expected [${shape}]`);
    });
  }
}

const NOTHING = new Uint8Array(0);

function take(source: Source, tensors: InferTensors, sequence: Sequence, end: boolean): Uint8Array {
  switch (source.kind) {
    case 'client':
      return bytesOf(tensors.inputs[source.index] ?? NOTHING);
    case 'state':
      return sequence.states[source.index] ?? NOTHING;
    case 'correlation-id':
      return sequence.correlationIds[source.index] ?? NOTHING;
    case 'flag': {
      const { kind, whenTrue, whenFalse } = source.flag;
      const holds = kind === 'ready' || (kind === 'start' ? sequence.fresh : end);
      return holds ? whenTrue : whenFalse;
    }
  }
}

/** In raw form; `undefined` where the datatype cannot hold it. */
function encodeId(id: SequenceTerms['id'], datatype: Datatype): Uint8Array | undefined {
  if (datatype === 'BYTES') {
    const text = String(id);
    // ONNX Runtime's strings end there.
    return text.includes('\0') ? undefined : encodeBytesTensor([Buffer.from(text)]);
  }
  if (typeof id === 'string') return undefined;
  switch (datatype) {
    // The parameter is an int64; as in Triton a negative one is the unsigned number of the same bits.
    case 'UINT64':
    case 'INT64':
      return new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, id)).buffer);
    case 'UINT32':
      return BigInt.asUintN(32, id) === id ? new Uint8Array(Uint32Array.of(Number(id)).buffer) : undefined;
    case 'INT32':
      return BigInt.asIntN(32, id) === id ? new Uint8Array(Int32Array.of(Number(id)).buffer) : undefined;
    default:
      return undefined;
  }
}

/** Bytes of a kept id: as a key, and as the model's control input. */
export function idBytes(id: SequenceTerms['id'], encoded: readonly Uint8Array[]): number {
  const asKey = typeof id === 'string' ? id.length * 2 : BigInt64Array.BYTES_PER_ELEMENT;
  return encoded.reduce((sum, { byteLength }) => sum + byteLength, asKey);
}
