/** Operators by what they do with quantized tensors. */

import type { NodeProto } from '../../onnx/onnx_pb.ts';

/** Operators with weights. */
export const WEIGHTED = new Set(['Conv', 'Gemm', 'MatMul', 'ConvTranspose']);
/** They choose and move values, and ONNX Runtime lets them do so with integers. */
export const MOVING = new Set(['MaxPool', 'Flatten', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Resize']);
/** Operators without weights that have integer kernels. */
export const COMPUTING = new Set(['Add', 'Mul', 'Concat', 'AveragePool', 'GlobalAveragePool', 'LeakyRelu']);
export const ACTIVATIONS = new Set(['Relu', 'Clip']);

/** Inputs with data to compute on, without shapes and the like. */
export function dataInputs({ opType, input }: NodeProto): readonly string[] {
  return opType === 'Add' || opType === 'Mul' || opType === 'Concat' ? input : input.slice(0, 1);
}
