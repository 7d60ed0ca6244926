/** Contents of a node besides its names. */

import { type GraphProto, type NodeProto, type TensorProto, TensorProtoSchema } from '../../onnx/onnx_pb.ts';
import { attributeOf } from './attribute.ts';
import { changed } from './message.ts';
import { tensorOf } from './tensor-values.ts';

/** Whether it belongs to the standard operators. */
export function isStandard({ domain }: { readonly domain: string }): boolean {
  return domain === '' || domain === 'ai.onnx';
}

/** The tensor of a Constant node; `undefined` for other nodes, and for texts and sparse tensors. */
export function constantOf(node: NodeProto): TensorProto | undefined {
  if (node.opType !== 'Constant' || !isStandard(node)) return undefined;
  const [name = ''] = node.output;
  const tensor = attributeOf(node, 'value')?.t;
  if (tensor !== undefined) return changed(TensorProtoSchema, tensor, { name });
  const float = attributeOf(node, 'value_float');
  if (float !== undefined) return tensorOf(name, Float32Array.of(float.f), []);
  const floats = attributeOf(node, 'value_floats')?.floats;
  if (floats !== undefined) return tensorOf(name, Float32Array.from(floats), [floats.length]);
  const integer = attributeOf(node, 'value_int');
  if (integer !== undefined) return tensorOf(name, BigInt64Array.of(integer.i), []);
  const integers = attributeOf(node, 'value_ints')?.ints;
  return integers === undefined ? undefined : tensorOf(name, BigInt64Array.from(integers), [integers.length]);
}

/** All names in the subgraphs of a node: those that they read from outside are among them. */
export function namesInSubgraphs({ attribute }: NodeProto): string[] {
  return attribute.flatMap(({ g, graphs }) => [...(g === undefined ? [] : [g]), ...graphs].flatMap(namesIn));
}

function namesIn({ node, initializer, input, output }: GraphProto): string[] {
  return [
    ...[...initializer, ...input, ...output].map(({ name }) => name),
    ...node.flatMap((each) => [...each.input, ...each.output, ...namesInSubgraphs(each)]),
  ].filter((name) => name !== '');
}
