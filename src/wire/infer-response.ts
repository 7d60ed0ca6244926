import { BytesTensorError, checkBytesTensor } from './bytes-tensor.ts';
import {
  type InferParameter,
  InferParameterReader,
  type InferParameters,
  NO_PARAMETERS,
  writeParameters,
} from './infer-parameter.ts';
import { type InferTensor, readInferTensor, TENSOR_CONTENTS, writeTensorHead } from './infer-tensor.ts';
import { checkRoom, WireError, type WireLimits } from './limits.ts';
import { NO_TEXT, ProtobufReader } from './protobuf-reader.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import { DATATYPE_BYTES, type Datatype, elementCount, isDatatype, type Shape } from './tensor.ts';
import { isTypedDatatype, TypedContentsError, typedToRaw } from './typed-contents.ts';
import { TypedContentsWriting } from './typed-contents-writing.ts';

export interface InferOutput {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
  /** The elements in raw form, whichever way they travel. */
  readonly data: Uint8Array;
  readonly parameters?: InferParameters;
}

export interface InferResponse {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: InferParameters;
  readonly outputs: readonly InferOutput[];
}

/** How the elements of an answer travel: `raw_output_contents`, or each output's `contents`. */
export type ContentsForm = 'raw' | 'typed';

/** Whether an answer can travel typed: FP16 and BF16 have no typed form, and with an output of them the whole answer is raw. */
export function isTypedAnswer(outputs: readonly InferOutput[], form: ContentsForm): boolean {
  return form === 'typed' && outputs.every((output) => isTypedDatatype(output.datatype));
}

/**
 * Encodes a `ModelInferResponse` in chunks; `data` is not copied if its bytes already have the wire format.
 * @param written the typed contents of each output, if they are already encoded.
 */
export function encodeInferResponse(
  response: InferResponse,
  form: ContentsForm,
  written?: readonly (readonly Uint8Array[])[],
): Uint8Array[] {
  const isTyped = isTypedAnswer(response.outputs, form);
  const writer = new ProtobufWriter();
  writer.textUnlessEmpty(1, response.modelName);
  writer.textUnlessEmpty(2, response.modelVersion);
  writer.textUnlessEmpty(3, response.id);
  writeParameters(writer, 4, response.parameters);
  for (const [index, output] of response.outputs.entries()) {
    const start = writer.begin(5);
    writeTensorHead(writer, output);
    if (isTyped) {
      const contents = writer.begin(TENSOR_CONTENTS);
      for (const chunk of written?.[index] ?? wholeContents(output)) writer.append(chunk);
      writer.end(contents);
    }
    writer.end(start);
  }
  if (!isTyped) for (const output of response.outputs) writer.bytes(6, output.data);
  return writer.finish();
}

function wholeContents(output: InferOutput): Uint8Array[] {
  const writing = writeContents(output);
  writing.advance();
  return writing.finish();
}

/** The typed contents of an output, to be written. @throws RangeError where it has no typed form */
export function writeContents({ data, datatype, shape }: InferOutput): TypedContentsWriting {
  const elements = elementCount(shape);
  if (elements === undefined || !isTypedDatatype(datatype))
    throw new RangeError(`no typed form of ${datatype} [${shape}]`);
  return new TypedContentsWriting(data, datatype, elements);
}

/**
 * Decodes a `ModelInferResponse`. Each output's `data` has the bytes that its datatype and shape call for.
 * @throws WireError also where they do not agree
 */
export function decodeInferResponse(bytes: Uint8Array, limits: WireLimits): InferResponse {
  return readInferResponse(new ProtobufReader(bytes, limits.maxFields), limits);
}

function readInferResponse(reader: ProtobufReader, limits: WireLimits): InferResponse {
  const parameterReader = new InferParameterReader(reader, limits);
  let modelName = NO_TEXT;
  let modelVersion = NO_TEXT;
  let id = NO_TEXT;
  let parameters: Map<string, InferParameter> | undefined;
  const tensors: InferTensor[] = [];
  const rawOutputContents: Uint8Array[] = [];
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
        checkRoom(tensors, limits.maxOutputs, 'outputs');
        tensors.push(readInferTensor(reader, parameterReader, limits));
        break;
      case 6:
        checkRoom(rawOutputContents, limits.maxOutputs, 'raw_output_contents');
        rawOutputContents.push(reader.bytes('raw_output_contents'));
        break;
      default:
        reader.skip();
    }
  }
  if (rawOutputContents.length > 0 && rawOutputContents.length !== tensors.length) {
    throw new WireError('malformed', `${rawOutputContents.length} raw_output_contents for ${tensors.length} outputs`);
  }
  return {
    modelName: reader.textAt(modelName),
    modelVersion: reader.textAt(modelVersion),
    id: reader.textAt(id),
    parameters: parameters ?? NO_PARAMETERS,
    outputs: tensors.map((tensor, i) => toOutput(tensor, rawOutputContents[i])),
  };
}

const NO_CONTENTS = new Uint8Array(0);

function toOutput(tensor: InferTensor, raw: Uint8Array | undefined): InferOutput {
  const { name, datatype, shape, parameters, contents } = tensor;
  if (!isDatatype(datatype)) throw new WireError('malformed', `output '${name}' has no known datatype`);
  const elements = elementCount(shape);
  if (elements === undefined) throw new WireError('malformed', `output '${name}' has no possible shape`);
  if (raw !== undefined && contents !== undefined) {
    throw new WireError('malformed', `output '${name}' has raw and typed contents`);
  }
  try {
    const data = raw ?? typedToRaw(contents ?? NO_CONTENTS, datatype, elements);
    const size = DATATYPE_BYTES[datatype];
    if (size === undefined) checkBytesTensor(data, elements);
    else if (data.length !== elements * size) {
      throw new WireError('malformed', `output '${name}' has ${data.length} bytes, expected ${elements * size}`);
    }
    return { name, datatype, shape, data, parameters };
  } catch (error) {
    if (!(error instanceof TypedContentsError || error instanceof BytesTensorError)) throw error;
    throw new WireError('malformed', `output '${name}': ${error.message}`);
  }
}

/** A `ModelStreamInferResponse`: an answer, already encoded, or the failure of the request `id`. */
export type StreamResponse =
  | { readonly response: readonly Uint8Array[] }
  | { readonly errorMessage: string; readonly id: string; readonly parameters: InferParameters };

/** Encodes a `ModelStreamInferResponse` in chunks. As with Triton, an error has an answer too, which holds the id; parameters are ours. */
export function encodeStreamResponse(message: StreamResponse): Uint8Array[] {
  const writer = new ProtobufWriter();
  if ('errorMessage' in message) {
    writer.textUnlessEmpty(1, message.errorMessage);
    const start = writer.begin(2);
    writer.textUnlessEmpty(3, message.id);
    writeParameters(writer, 4, message.parameters);
    writer.end(start);
  } else {
    const start = writer.begin(2);
    for (const chunk of message.response) writer.append(chunk);
    writer.end(start);
  }
  return writer.finish();
}

/**
 * Decodes a `ModelStreamInferResponse`. `errorMessage` is `''` where the request succeeded.
 * @throws WireError
 */
export function decodeStreamResponse(
  bytes: Uint8Array,
  limits: WireLimits,
): { readonly errorMessage: string; readonly response: InferResponse | undefined } {
  const reader = new ProtobufReader(bytes, limits.maxFields);
  let errorMessage = NO_TEXT;
  let response: InferResponse | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) errorMessage = reader.text('error_message', bytes.length);
    else if (field !== 2) reader.skip();
    else {
      // Protobuf would merge the two; no server sends a second one.
      if (response !== undefined) throw reader.malformed('infer_response comes twice');
      const outerEnd = reader.enter('infer_response');
      response = readInferResponse(reader, limits);
      reader.leave(outerEnd);
    }
  }
  return { errorMessage: reader.textAt(errorMessage), response };
}
