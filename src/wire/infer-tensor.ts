import {
  type InferParameter,
  type InferParameterReader,
  type InferParameters,
  NO_PARAMETERS,
  writeParameters,
} from './infer-parameter.ts';
import { WireError, type WireLimits } from './limits.ts';
import { NO_TEXT, type ProtobufReader } from './protobuf-reader.ts';
import type { ProtobufWriter } from './protobuf-writer.ts';
import type { Shape } from './tensor.ts';

/** A tensor as requests and responses describe it: `InferInputTensor` and `InferOutputTensor` have the same fields. */
export interface InferTensor {
  readonly name: string;
  /** As it was sent: it may be no datatype at all. */
  readonly datatype: string;
  /** As it was sent: sizes may be negative, or so large that a number holds only the nearest one. */
  readonly shape: Shape;
  readonly parameters: InferParameters;
  /**
   * The encoded `InferTensorContents`, a view, not looked into yet; absent where the elements are raw, in shared memory, or
   * missing.
   */
  readonly contents: Uint8Array | undefined;
}

/** The field of the typed contents in both tensor messages. */
export const TENSOR_CONTENTS = 5;

export function readInferTensor(
  reader: ProtobufReader,
  parameterReader: InferParameterReader,
  limits: WireLimits,
): InferTensor {
  const outerEnd = reader.enter('a tensor');
  let name = NO_TEXT;
  let datatype = NO_TEXT;
  const shape: number[] = [];
  let parameters: Map<string, InferParameter> | undefined;
  let contents: Uint8Array | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        name = reader.text('the name of a tensor', limits.maxNameBytes);
        break;
      case 2:
        datatype = reader.text('a datatype', limits.maxNameBytes);
        break;
      case 3:
        readShapeInto(shape, reader, limits);
        break;
      case 4:
        parameters = parameterReader.readInto(parameters);
        break;
      case TENSOR_CONTENTS:
        // Protobuf would merge the two, at the price of a copy for each: one tensor has one set of contents.
        if (contents !== undefined) throw reader.malformed('a tensor has contents twice');
        contents = reader.bytes('contents');
        break;
      default:
        reader.skip();
    }
  }
  const tensor: InferTensor = {
    name: reader.textAt(name),
    datatype: reader.textAt(datatype),
    shape,
    parameters: parameters ?? NO_PARAMETERS,
    contents,
  };
  reader.leave(outerEnd);
  return tensor;
}

function readShapeInto(shape: number[], reader: ProtobufReader, limits: WireLimits): void {
  const outerEnd = reader.enterVarints('shape');
  while (reader.left > 0) {
    if (shape.length === limits.maxRank) {
      throw new WireError('limit', `a shape of more than ${limits.maxRank} axes, at byte ${reader.position}`);
    }
    reader.readVarint();
    shape.push(reader.int64Number);
  }
  reader.leave(outerEnd);
}

/** Description of a tensor, without its elements. */
export interface TensorHead {
  readonly name: string;
  readonly datatype: string;
  readonly shape: Shape;
  readonly parameters?: InferParameters;
}

/** Appends all of a tensor message but its contents, between `begin` and `end`. */
export function writeTensorHead(writer: ProtobufWriter, tensor: TensorHead): void {
  writer.textUnlessEmpty(1, tensor.name);
  writer.textUnlessEmpty(2, tensor.datatype);
  if (tensor.shape.length > 0) {
    const shape = writer.begin(3);
    for (const size of tensor.shape) writer.element(size, Math.floor(size / 0x1_0000_0000));
    writer.end(shape);
  }
  if (tensor.parameters !== undefined) writeParameters(writer, 4, tensor.parameters);
}
