/**
 * Calibrated static quantization: the graph with pairs of QuantizeLinear and DequantizeLinear, which ONNX Runtime fuses into
 * integer kernels when it loads the model. All scales are constants, so the answer to a row does not depend on the rows
 * beside it, as it would under dynamic quantization.
 */

import type { NodeProto } from '../../onnx/onnx_pb.ts';
import type { Ranges } from '../calibration.ts';
import { CompressError } from '../compress-error.ts';
import { DYNAMIC_REMEDY, quantizesDynamically } from '../dynamic-quantization.ts';
import { fold } from '../folding.ts';
import type { Compressed, Note } from '../note.ts';
import { integer } from '../onnx/attribute.ts';
import { Graph, nameOf } from '../onnx/graph.ts';
import type { OnnxModel } from '../onnx/model-file.ts';
import { upgradeOperatorSet } from '../onnx/operator-set.ts';
import { quantizeTables } from './embedding-table.ts';
import { type IntegerPlan, planIntegers } from './integer-plan.ts';
import { dataInputs } from './operators.ts';
import { type Quantization, quantizeChannels } from './quantization.ts';
import { restoreFloats } from './stored-integers.ts';
import type { WeightedNode } from './weighted-node.ts';

/** A bias of this many steps of its scale is as exact as float32, and leaves room for the sums that it is added to. */
const MAX_BIAS_STEPS = 2 ** 24;

/**
 * @param keep names of nodes that stay in float.
 * @throws CompressError (`model`) where no node can compute in integers, where one that is to stay is not there, or where the model is
 *   quantized dynamically.
 */
export function quantize(model: OnnxModel, ranges: Ranges, keep: ReadonlySet<string>): Compressed {
  const graph = new Graph(model);
  if (graph.nodes.some(({ opType }) => quantizesDynamically(opType))) {
    throw new CompressError('model', `int8: the model has its integers already, but ${DYNAMIC_REMEDY}`);
  }
  upgradeOperatorSet(graph);
  restoreFloats(graph);
  const folded = fold(graph, (tensor) => ranges.get(tensor)?.rank);
  const absent = [...keep].find((name) => !graph.nodes.some((node) => nameOf(node) === name));
  if (absent !== undefined) throw new CompressError('model', `int8: there is no node '${absent}' to keep in float`);
  const plan = planIntegers(graph, ranges, keep);
  if (plan.weighted.size === 0) {
    const reasons = [...plan.reasons]
      .slice(0, 3)
      .map(([node, reason]) => `'${nameOf(node)}' (${node.opType}): ${reason}`);
    const text = reasons.length === 0 ? 'it has no Conv, Gemm or MatMul' : reasons.join('; ');
    throw new CompressError('model', `int8: nothing in the model can compute in integers: ${text}`);
  }
  const described = describe(graph, plan, ranges);
  new Rewriter(graph, plan).rewrite();
  const tables = new Map(quantizeTables(graph, keep).map((note) => [note.node, note]));
  const notes = described.map((note) => tables.get(note.node) ?? note);
  const others = [...tables.values()].filter((note) => !notes.includes(note));
  return { model: graph.toModel('int8'), notes: [...folded, ...notes, ...others] };
}

class Rewriter {
  readonly #graph: Graph;
  readonly #plan: IntegerPlan;
  /** Names of constants by content: nodes that only move values share them. */
  readonly #scales = new Map<string, readonly [scale: string, zero: string]>();

  constructor(graph: Graph, plan: IntegerPlan) {
    this.#graph = graph;
    this.#plan = plan;
  }

  rewrite(): void {
    for (const [node, weighted] of this.#plan.weighted) this.#quantizeWeights(node, weighted);
    const { producer, consumers } = this.#graph.links();
    for (const [tensor, quantization] of this.#plan.pairs) {
      const from = producer(tensor);
      const isInteger = from !== undefined && this.#isInteger(from);
      // The output of a float node is rounded only for readers that compute in integers.
      const readers = isInteger ? consumers(tensor) : consumers(tensor).filter((node) => this.#reads(node, tensor));
      this.#graph.redirect(tensor, this.#addPair(tensor, quantization), readers);
    }
  }

  #isInteger(node: NodeProto): boolean {
    const { weighted, others, activations } = this.#plan;
    return weighted.has(node) || others.has(node) || activations.has(node);
  }

  #reads(node: NodeProto, tensor: string): boolean {
    const { weighted, others } = this.#plan;
    return weighted.has(node) || (others.has(node) && dataInputs(node).includes(tensor));
  }

  #addPair(tensor: string, quantization: Quantization): string {
    const parameters = this.#parameters(tensor, quantization);
    const integers = this.#graph.freshName(`${tensor}.uint8`);
    const reals = this.#graph.freshName(`${tensor}.float`);
    this.#graph.addNode('QuantizeLinear', integers, [tensor, ...parameters]);
    return this.#graph.addNode('DequantizeLinear', reals, [integers, ...parameters]);
  }

  #parameters(tensor: string, { scale, zero }: Quantization): readonly [string, string] {
    const key = `${scale}/${zero}`;
    const made = this.#scales.get(key) ?? [
      this.#graph.addConstant(`${tensor}.scale`, Float32Array.of(scale), []),
      this.#graph.addConstant(`${tensor}.zero`, Uint8Array.of(zero), []),
    ];
    this.#scales.set(key, made);
    return made;
  }

  #quantizeWeights(node: NodeProto, { input, weight, values, shape, axis, bias, biasName }: WeightedNode): void {
    const inputScale = this.#plan.given.get(input)?.scale ?? this.#plan.pairs.get(input)?.scale ?? 1;
    // A channel of tiny weights beside a large bias: its own scale would let the bias overflow.
    const least = (channel: number): number => Math.abs(bias?.[channel] ?? 0) / (inputScale * MAX_BIAS_STEPS);
    const { integers, scales } = quantizeChannels(values, shape, axis, { least });
    const dequantized = this.#dequantize(weight, integers, shape, scales, axis);
    const inputs = [input, dequantized];
    if (bias !== undefined) {
      const biasScales = scales.map((scale) => scale * inputScale);
      const steps = Int32Array.from(bias, (value, channel) => Math.round(value / (biasScales[channel] ?? 1)));
      inputs.push(this.#dequantize(biasName, steps, [steps.length], biasScales, 0));
    }
    node.input = inputs;
    // They are in the weights and the bias now.
    node.attribute = node.attribute.filter(({ name }) => name !== 'alpha' && name !== 'beta');
  }

  #dequantize(
    name: string,
    integers: Int8Array | Int32Array,
    shape: readonly number[],
    scales: Float32Array,
    axis: number,
  ): string {
    const graph = this.#graph;
    const type = integers instanceof Int8Array ? 'int8' : 'int32';
    const inputs = [
      graph.addConstant(`${name}.${type}`, integers, shape),
      graph.addConstant(`${name}.scale`, scales, [scales.length]),
    ];
    // Although 0 is the default: ONNX Runtime 1.30 fuses a Gemm only where the zero points are written out.
    if (type === 'int8') inputs.push(graph.addConstant(`${name}.zero`, new Int8Array(scales.length), [scales.length]));
    const attributes = [integer('axis', axis)];
    return graph.addNode('DequantizeLinear', graph.freshName(`${name}.float`), inputs, { attributes });
  }
}

function describe(graph: Graph, plan: IntegerPlan, ranges: Ranges): Note[] {
  return graph.nodes.flatMap((node): Note[] => {
    const about = { node: nameOf(node), opType: node.opType };
    const weighted = plan.weighted.get(node);
    if (weighted !== undefined) {
      const channels = weighted.shape[weighted.axis] ?? 0;
      return [{ ...about, kind: 'quantized', text: `int8 weights, a scale for each of ${channels} channels` }];
    }
    if (plan.others.has(node)) return [{ ...about, kind: 'quantized', text: 'computes in integers' }];
    if (plan.activations.has(node))
      return [{ ...about, kind: 'quantized', text: 'part of the integer kernel before it' }];
    const reason = plan.reasons.get(node);
    const isFloat = node.output.some((name) => ranges.has(name));
    return reason === undefined || !isFloat ? [] : [{ ...about, kind: 'kept', text: reason }];
  });
}
