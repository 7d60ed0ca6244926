/**
 * Dynamic quantization, as exports on the Hugging Face hub have it (`model_quantized.onnx`): scales are computed in each run, one for a
 * whole batch, so that rows depend on the rows beside them.
 */

/** One is a standard operator; ONNX Runtime makes the others of it when it loads a model. */
const OPERATORS: ReadonlySet<string> = new Set([
  'DynamicQuantizeLinear',
  'DynamicQuantizeMatMul',
  'DynamicQuantizeLSTM',
]);

/** The remedy, for errors and reports. */
export const DYNAMIC_REMEDY =
  'it is quantized dynamically, with one scale for a whole batch: take its export in float32, and quantize that: npx tensorgate compress --to int8';

/** @param opType without its domain, or behind it, such as `com.microsoft.DynamicQuantizeMatMul` */
export function quantizesDynamically(opType: string): boolean {
  return OPERATORS.has(opType.slice(opType.lastIndexOf('.') + 1));
}
