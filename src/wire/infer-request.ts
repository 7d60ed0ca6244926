import {
  type InferParameter,
  InferParameterReader,
  type InferParameters,
  NO_PARAMETERS,
  writeParameters,
} from './infer-parameter.ts';
import { type InferTensor, readInferTensor, TENSOR_CONTENTS, writeTensorHead } from './infer-tensor.ts';
import { checkRoom, tooMany, WireError, type WireLimits } from './limits.ts';
import { NO_TEXT, ProtobufReader } from './protobuf-reader.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import type { TensorBytes } from './tensor-bytes.ts';

export type InferInput = InferTensor;

export interface RequestedOutput {
  readonly name: string;
  readonly parameters: InferParameters;
}

/** `ModelInferRequest`, decoded but not yet compared with any model. */
export interface InferRequest<Tensor extends TensorBytes = Uint8Array> {
  readonly modelName: string;
  /** `''` leaves the choice to the server. */
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: InferParameters;
  readonly inputs: readonly InferInput[];
  /** Empty asks for every output. */
  readonly outputs: readonly RequestedOutput[];
  /** Raw tensors, in the order of those inputs that have no other place for theirs: views of the message, or landed. */
  readonly rawInputContents: readonly Tensor[];
}

/**
 * Decodes a `ModelInferRequest`. The tensors stay views of `bytes`, which must not change while the request is in use.
 * Of a singular field that comes more than once the last counts, but for `contents`; unknown fields are skipped.
 * @param beside raw tensors that came before those in the message, and count as its fields
 * @throws WireError
 */
export function decodeInferRequest<Tensor extends TensorBytes = Uint8Array>(
  bytes: Uint8Array,
  limits: WireLimits,
  beside: readonly Tensor[] = [],
): InferRequest<Tensor | Uint8Array> {
  if (beside.length > limits.maxInputs) throw tooMany(limits.maxInputs, 'raw_input_contents');
  const reader = new ProtobufReader(bytes, Math.max(0, limits.maxFields - beside.length));
  const parameterReader = new InferParameterReader(reader, limits);
  let modelName = NO_TEXT;
  let modelVersion = NO_TEXT;
  let id = NO_TEXT;
  let parameters: Map<string, InferParameter> | undefined;
  const inputs: InferInput[] = [];
  const outputs: RequestedOutput[] = [];
  const rawInputContents: (Tensor | Uint8Array)[] = [...beside];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        modelName = reader.text('model_name', limits.maxNameBytes);
        break;
      case 2:
        modelVersion = reader.text('model_version', limits.maxNameBytes);
        break;
      case 3:
        id = reader.text('id', limits.maxIdBytes);
        break;
      case 4:
        parameters = parameterReader.readInto(parameters);
        break;
      case 5:
        checkRoom(inputs, limits.maxInputs, 'inputs');
        inputs.push(readInferTensor(reader, parameterReader, limits));
        break;
      case 6:
        checkRoom(outputs, limits.maxOutputs, 'outputs');
        outputs.push(readRequestedOutput(reader, parameterReader, limits));
        break;
      case 7:
        checkRoom(rawInputContents, limits.maxInputs, 'raw_input_contents');
        rawInputContents.push(reader.bytes('raw_input_contents'));
        break;
      default:
        reader.skip();
    }
  }
  return {
    modelName: reader.textAt(modelName),
    modelVersion: reader.textAt(modelVersion),
    id: reader.textAt(id),
    parameters: parameters ?? NO_PARAMETERS,
    inputs,
    outputs,
    rawInputContents,
  };
}

/** A `ModelInferRequest` without its tensors. */
export type InferHead = Pick<InferRequest, 'modelName' | 'modelVersion' | 'id' | 'parameters'>;

/** The head of a `ModelInferRequest`, whose tensors are only skipped; `undefined` where it is none that can be decoded. */
export function peekInferHead(bytes: Uint8Array, limits: WireLimits): InferHead | undefined {
  try {
    return readHead(new ProtobufReader(bytes, limits.maxFields), limits);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return undefined;
  }
}

function readHead(reader: ProtobufReader, limits: WireLimits): InferHead {
  let modelName = NO_TEXT;
  let modelVersion = NO_TEXT;
  let id = NO_TEXT;
  let parameterReader: InferParameterReader | undefined;
  let parameters: Map<string, InferParameter> | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        modelName = reader.text('model_name', limits.maxNameBytes);
        break;
      case 2:
        modelVersion = reader.text('model_version', limits.maxNameBytes);
        break;
      case 3:
        id = reader.text('id', limits.maxIdBytes);
        break;
      case 4:
        parameterReader ??= new InferParameterReader(reader, limits);
        parameters = parameterReader.readInto(parameters);
        break;
      default:
        reader.skip();
    }
  }
  return {
    modelName: reader.textAt(modelName),
    modelVersion: reader.textAt(modelVersion),
    id: reader.textAt(id),
    parameters: parameters ?? NO_PARAMETERS,
  };
}

/**
 * The name of the model that a `ModelInferRequest` is for, though it may be no message that can be decoded: `''` where none
 * of its first fields names one.
 */
export function peekModelName(bytes: Uint8Array, { maxFields, maxNameBytes }: WireLimits): string {
  try {
    const reader = new ProtobufReader(bytes, maxFields);
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) return reader.textAt(reader.text('model_name', maxNameBytes));
      reader.skip();
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  return '';
}

function readRequestedOutput(
  reader: ProtobufReader,
  parameterReader: InferParameterReader,
  limits: WireLimits,
): RequestedOutput {
  const outerEnd = reader.enter('a requested output');
  let name = NO_TEXT;
  let parameters: Map<string, InferParameter> | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) name = reader.text('the name of an output', limits.maxNameBytes);
    else if (field === 2) parameters = parameterReader.readInto(parameters);
    else reader.skip();
  }
  const output = { name: reader.textAt(name), parameters: parameters ?? NO_PARAMETERS };
  reader.leave(outerEnd);
  return output;
}

/** Encodes a `ModelInferRequest` in chunks: the fields between the tensors, and the tensors themselves, not copied. */
export function encodeInferRequest(request: InferRequest): Uint8Array[] {
  const writer = new ProtobufWriter();
  writer.textUnlessEmpty(1, request.modelName);
  writer.textUnlessEmpty(2, request.modelVersion);
  writer.textUnlessEmpty(3, request.id);
  writeParameters(writer, 4, request.parameters);
  for (const input of request.inputs) {
    const start = writer.begin(5);
    writeTensorHead(writer, input);
    if (input.contents !== undefined) writer.bytes(TENSOR_CONTENTS, input.contents);
    writer.end(start);
  }
  for (const output of request.outputs) {
    const start = writer.begin(6);
    writer.textUnlessEmpty(1, output.name);
    writeParameters(writer, 2, output.parameters);
    writer.end(start);
  }
  for (const raw of request.rawInputContents) writer.bytes(7, raw);
  return writer.finish();
}
