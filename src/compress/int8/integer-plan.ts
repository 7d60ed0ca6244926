/**
 * Which nodes compute in integers, and which tensors are quantized for that.
 *
 * PLAN-1: a node with weights computes in integers where the ranges of what it reads and gives are known.
 * PLAN-2: what lies between such nodes (sums, pools, what only moves values) does too where all that it reads comes in integers,
 *     and something that computes in integers reads it. So nothing is quantized that would be in float without it.
 * PLAN-3: the activation behind an integer node is part of its kernel: the tensor is quantized behind the activation.
 * PLAN-4: what only moves values keeps their quantization. A Concat has one for all that it joins, unless that would undo PLAN-3.
 * PLAN-5: an answer of the model stays in float.
 */

import type { NodeProto } from '../../onnx/onnx_pb.ts';
import type { Range, Ranges } from '../calibration.ts';
import { textAttribute } from '../onnx/attribute.ts';
import { type Graph, type Links, nameOf } from '../onnx/graph.ts';
import { DataType, floatsOf } from '../onnx/tensor-values.ts';
import { ACTIVATIONS, COMPUTING, dataInputs, MOVING, WEIGHTED } from './operators.ts';
import { type Quantization, quantizationOf } from './quantization.ts';
import { Groups, isRedundant } from './quantization-groups.ts';
import { type WeightedNode, weightedNode } from './weighted-node.ts';

export interface IntegerPlan {
  /** Nodes with weights that compute in integers. */
  readonly weighted: ReadonlyMap<NodeProto, WeightedNode>;
  /** The others that do, and activations that are part of a kernel. */
  readonly others: ReadonlySet<NodeProto>;
  readonly activations: ReadonlySet<NodeProto>;
  /** By tensor, in the order of the graph: where a pair of QuantizeLinear and DequantizeLinear goes. */
  readonly pairs: ReadonlyMap<string, Quantization>;
  /** Tensors that come quantized, such as pixels, with how. */
  readonly given: ReadonlyMap<string, Quantization>;
  /** Why a node that computes on float32 stays in float. */
  readonly reasons: ReadonlyMap<NodeProto, string>;
}

/** @param keep names of nodes that stay in float. */
export function planIntegers(graph: Graph, ranges: Ranges, keep: ReadonlySet<string>): IntegerPlan {
  return new Planner(graph, ranges, keep).plan();
}

class Planner {
  readonly #graph: Graph;
  readonly #ranges: Ranges;
  readonly #keep: ReadonlySet<string>;
  readonly #links: Links;
  readonly #weighted = new Map<NodeProto, WeightedNode>();
  readonly #others = new Set<NodeProto>();
  /** Activations by the tensor that they read. */
  readonly #activations = new Map<string, NodeProto>();
  readonly #given = new Map<string, Quantization>();
  readonly #reasons = new Map<NodeProto, string>();

  constructor(graph: Graph, ranges: Ranges, keep: ReadonlySet<string>) {
    this.#graph = graph;
    this.#ranges = ranges;
    this.#keep = keep;
    this.#links = graph.links();
  }

  plan(): IntegerPlan {
    for (const node of this.#graph.nodes) this.#propose(node);
    // Each that is left out may leave others without a reason to stay in.
    for (let isStable = false; !isStable; ) {
      isStable = true;
      for (const node of this.#others) {
        const reason = this.#objection(node);
        if (reason === undefined) continue;
        this.#others.delete(node);
        this.#reasons.set(node, reason);
        isStable = false;
      }
    }
    const pairs = this.#pairs();
    const activations = [...this.#activations.values()].filter((node) => {
      // Without a pair behind it, its input stays float32.
      return this.#isAbsorbed(node) && pairs.has(node.output[0] ?? '');
    });
    return {
      weighted: this.#weighted,
      others: this.#others,
      activations: new Set(activations),
      pairs,
      given: this.#given,
      reasons: this.#reasons,
    };
  }

  /** Plans the node as if all nodes around it were in integers. */
  #propose(node: NodeProto): void {
    const [output = ''] = node.output;
    const { opType } = node;
    if (this.#keep.has(nameOf(node))) {
      this.#reasons.set(node, 'it is to stay in float');
    } else if (node.domain !== '') {
      this.#reasons.set(node, `${node.domain}.${opType} is not known here`);
    } else if (opType === 'DequantizeLinear') {
      const given = this.#givenBy(node);
      if (given !== undefined) this.#given.set(output, given);
    } else if (WEIGHTED.has(opType)) {
      const found = weightedNode(this.#graph, node);
      const reason = typeof found === 'string' ? found : this.#obstacle(node, found);
      if (typeof found === 'string' || reason !== undefined) this.#reasons.set(node, reason ?? '');
      else this.#weighted.set(node, found);
    } else if (MOVING.has(opType) || COMPUTING.has(opType)) {
      this.#others.add(node);
    } else if (ACTIVATIONS.has(opType)) {
      // Activations that become part of a kernel need no reason.
      this.#reasons.set(node, 'it is part of no integer kernel');
    } else if (this.#ranges.has(output)) {
      this.#reasons.set(node, `ONNX Runtime has no integer kernel for ${opType} that pays`);
    }
    const activation = this.#activationBehind(node);
    if (activation !== undefined) this.#activations.set(output, activation);
  }

  /** The quantization of pixels that a graph dequantizes first. */
  #givenBy({ input }: NodeProto): Quantization | undefined {
    const [scale, zero] = [this.#graph.constant(input[1]), this.#graph.constant(input[2])];
    if (scale === undefined || zero === undefined || zero.dataType !== DataType.UINT8) return undefined;
    const scales = floatsOf(scale);
    const zeros = zero.rawData.length > 0 ? zero.rawData : Uint8Array.from(zero.int32Data);
    if (scale.dataType !== DataType.FLOAT || scales?.length !== 1 || zeros.length !== 1) return undefined;
    if (scale.dims.length > 0 || zero.dims.length > 0) return undefined;
    return { scale: scales[0] ?? 1, zero: zeros[0] ?? 0 };
  }

  /** The only reader of a node's output, if it only clips. It merges only into a node with an integer kernel. */
  #activationBehind(node: NodeProto): NodeProto | undefined {
    if (MOVING.has(node.opType)) return undefined;
    const [output = ''] = node.output;
    const [activation, ...others] = this.#links.consumers(output);
    if (activation === undefined || others.length > 0 || this.#graph.isExposed(output)) return undefined;
    if (!ACTIVATIONS.has(activation.opType) || activation.domain !== '' || activation.input[0] !== output)
      return undefined;
    const [activated = ''] = activation.output;
    const limits = this.#limits(activation);
    const range = this.#ranges.get(activated);
    if (limits === undefined || range === undefined || this.#graph.isExposed(activated)) return undefined;
    return isRedundant(limits, quantizationOf(range)) ? activation : undefined;
  }

  /**
   * Whether ONNX Runtime would take the only reader of a node for an activation that quantizing makes needless, and would not
   * fuse the node where nothing is quantized behind it.
   */
  #isBeforeActivation({ output: [output = ''] }: NodeProto): boolean {
    const [activation, ...others] = this.#links.consumers(output);
    if (activation === undefined || others.length > 0 || this.#graph.isExposed(output)) return false;
    const [activated = ''] = activation.output;
    return (
      ACTIVATIONS.has(activation.opType) &&
      !this.#graph.isExposed(activated) &&
      this.#links.consumers(activated).length === 1
    );
  }

  #limits(activation: NodeProto): Range | undefined {
    if (activation.opType === 'Relu') return { low: 0, high: Number.POSITIVE_INFINITY };
    const [low, high] = [activation.input[1] ?? '', activation.input[2] ?? ''].map((name, index) => {
      if (name === '') return index === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
      const tensor = this.#graph.constant(name);
      return tensor && floatsOf(tensor)?.[0];
    });
    return low === undefined || high === undefined ? undefined : { low, high };
  }

  /** The tensor that a node gives, behind the activation that is part of it. */
  #result(node: NodeProto): string {
    const [output = ''] = node.output;
    return this.#activations.get(output)?.output[0] ?? output;
  }

  /** Why a node with weights cannot compute in integers. */
  #obstacle(node: NodeProto, { input }: WeightedNode): string | undefined {
    if (!this.#isKnown(input)) return `the range of its input '${input}' is not known`;
    if (node.opType !== 'Conv' && !this.#isBeforeActivation(node)) return undefined;
    const activation = this.#activationBehind(node);
    const result = activation?.output[0] ?? node.output[0] ?? '';
    if (this.#graph.isExposed(result)) return 'its output is an answer of the model, which stays in float';
    return this.#isKnown(result) ? undefined : `the range of its output '${result}' is not known`;
  }

  #isKnown(tensor: string): boolean {
    return this.#given.has(tensor) || this.#ranges.has(tensor);
  }

  /** Why a node without weights does not compute in integers after all. */
  #objection(node: NodeProto): string | undefined {
    const unfit = this.#unfit(node);
    if (unfit !== undefined) return unfit;
    const result = this.#result(node);
    if (this.#graph.isExposed(result)) return 'its output is an answer of the model, which stays in float';
    if (!this.#isKnown(result)) return `the range of its output '${result}' is not known`;
    const float = dataInputs(node).find((input) => !this.#isInteger(input));
    if (float !== undefined) return `its input '${float}' does not come in integers`;
    return this.#isReadInIntegers(result) ? undefined : 'nothing that reads it computes in integers';
  }

  /** @returns why the node cannot be in integers, whatever is around it */
  #unfit(node: NodeProto): string | undefined {
    const constant = dataInputs(node).find((input) => this.#graph.constant(input) !== undefined);
    switch (node.opType) {
      case 'Add':
      case 'Mul':
      case 'Concat':
        return constant === undefined ? undefined : `its input '${constant}' is a constant`;
      case 'MaxPool':
        return node.output.length > 1 && node.output[1] !== '' ? 'it gives indices too' : undefined;
      case 'Resize':
        return textAttribute(node, 'mode', 'nearest') === 'nearest' ? undefined : 'it computes values between values';
      default:
        return undefined;
    }
  }

  /** Whether a tensor comes quantized, given or by whom makes it. */
  #isInteger(tensor: string): boolean {
    if (this.#given.has(tensor)) return true;
    const producer = this.#links.producer(tensor);
    if (producer === undefined) return false;
    if (this.#isAbsorbed(producer)) return true;
    return (this.#weighted.has(producer) || this.#others.has(producer)) && this.#result(producer) === tensor;
  }

  /** Whether a node is an activation that is part of the integer node before it. */
  #isAbsorbed(node: NodeProto): boolean {
    const [input = ''] = node.input;
    if (this.#activations.get(input) !== node) return false;
    const before = this.#links.producer(input);
    return before !== undefined && (this.#weighted.has(before) || this.#others.has(before));
  }

  #isReadInIntegers(tensor: string): boolean {
    return this.#links
      .consumers(tensor)
      .some((reader) => this.#others.has(reader) || this.#weighted.get(reader)?.input === tensor);
  }

  #pairs(): Map<string, Quantization> {
    const wanted = new Set<string>();
    for (const node of this.#graph.nodes) {
      const found = this.#weighted.get(node);
      if (found !== undefined) {
        wanted.add(found.input);
        // A product of matrices can give float32 itself, and does so more exactly.
        const result = this.#result(node);
        const givesFloat = node.opType !== 'Conv' && !this.#isBeforeActivation(node) && !this.#isReadInIntegers(result);
        if (!givesFloat) wanted.add(result);
      } else if (this.#others.has(node)) {
        for (const input of dataInputs(node)) wanted.add(input);
        wanted.add(this.#result(node));
      }
    }
    const groups = this.#groups();
    const pairs = new Map<string, Quantization>();
    for (const tensor of wanted) {
      if (this.#given.has(tensor)) continue;
      pairs.set(tensor, groups.quantization(this.#root(tensor)));
    }
    return pairs;
  }

  /** The tensor whose values another only moves. */
  #root(tensor: string): string {
    let root = tensor;
    for (let node = this.#links.producer(root); node !== undefined; node = this.#links.producer(root)) {
      if (!this.#others.has(node) || !MOVING.has(node.opType)) break;
      root = node.input[0] ?? '';
    }
    return root;
  }

  /** Roots that share a quantization. */
  #groups(): Groups {
    const groups = new Groups((root) => {
      const given = this.#given.get(root);
      return { given, range: this.#ranges.get(root) ?? { low: 0, high: 0 }, limits: this.#limitsOf(root) };
    });
    for (const node of this.#others) {
      if (node.opType !== 'Concat') continue;
      groups.join([...node.input, this.#result(node)].map((tensor) => this.#root(tensor)));
    }
    return groups;
  }

  /** Range of the activation that gives a tensor, if the activation is part of a kernel. */
  #limitsOf(tensor: string): Range | undefined {
    const producer = this.#links.producer(tensor);
    return producer !== undefined && this.#isAbsorbed(producer) ? this.#limits(producer) : undefined;
  }
}
