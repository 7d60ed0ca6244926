/**
 * Weights that an export stores as int8 and computes in float: a Cast, and a Mul with scales. They become constants of float32 again, so
 * that they can be quantized for integer kernels, which need activations in integers too.
 */

import type { NodeProto, TensorProto } from '../../onnx/onnx_pb.ts';
import { integerAttribute } from '../onnx/attribute.ts';
import type { Graph } from '../onnx/graph.ts';
import { DataType, floatsOf, shapeOf } from '../onnx/tensor-values.ts';

export function restoreFloats(graph: Graph): void {
  const { consumers } = graph.links();
  const gone = new Set<NodeProto>();
  for (const cast of graph.nodes) {
    const tensor = graph.constant(cast.input[0]);
    const [floats = ''] = cast.output;
    if (tensor === undefined || cast.opType !== 'Cast' || cast.domain !== '' || graph.isExposed(floats)) continue;
    const integers = signedBytesOf(tensor);
    const [product, ...others] = consumers(floats);
    if (integers === undefined || integerAttribute(cast, 'to', 0) !== DataType.FLOAT) continue;
    if (product?.opType !== 'Mul' || product.domain !== '' || others.length > 0) continue;
    const [output = ''] = product.output;
    const scale = graph.constant(product.input.find((name) => name !== floats));
    const values = scale && scaled(integers, shapeOf(tensor), scale);
    if (values === undefined || graph.isExposed(output)) continue;
    graph.setConstant(output, values, shapeOf(tensor));
    gone.add(cast).add(product);
  }
  graph.nodes = graph.nodes.filter((node) => !gone.has(node));
}

function signedBytesOf({ dataType, rawData, int32Data }: TensorProto): Int8Array | undefined {
  if (dataType !== DataType.INT8) return undefined;
  return rawData.length > 0 ? new Int8Array(rawData) : Int8Array.from(int32Data);
}

/** Integers by their scales; `undefined` where these are not one number for all, for each row, or for each column. */
function scaled(integers: Int8Array, shape: readonly number[], scale: TensorProto): Float32Array | undefined {
  const factors = scale.dataType === DataType.FLOAT ? floatsOf(scale) : undefined;
  const [rows = 0, columns = 0, ...others] = shape;
  if (factors === undefined || others.length > 0 || shape.length !== 2) return undefined;
  const sizes = shapeOf(scale);
  const [down = 1, across = 1] = sizes.length === 1 ? [1, sizes[0]] : sizes;
  const fits = sizes.length <= 2 && (down === 1 || down === rows) && (across === 1 || across === columns);
  if (!fits) return undefined;
  return Float32Array.from(integers, (integer, at) => {
    const row = down === 1 ? 0 : Math.floor(at / columns);
    const column = across === 1 ? 0 : at % columns;
    return integer * (factors[row * across + column] ?? 0);
  });
}
