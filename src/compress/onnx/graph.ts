/**
 * A model's graph while it is rewritten.
 *
 * GRAPH-1: constants are initializers: Constant nodes become initializers when the graph is opened.
 * GRAPH-2: messages of the model that it was opened from are never changed: nodes are copied, and constants are replaced.
 * GRAPH-3: the resulting model has its nodes in topological order, and no unused ones.
 */

import { create } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from '../../onnx/onnx_pb.ts';
import { CompressError } from '../compress-error.ts';
import { changed } from './message.ts';
import { constantOf, isStandard, namesInSubgraphs } from './node-contents.ts';
import { type TensorValues, tensorOf } from './tensor-values.ts';

/** Where a tensor comes from and goes to. */
export interface Links {
  producer(tensor: string): NodeProto | undefined;
  /** Each once, however often it reads the tensor. Readers inside of subgraphs are not among them: see `isExposed`. */
  consumers(tensor: string): readonly NodeProto[];
}

export class Graph {
  /** In any order that suits: it is sorted at the end. */
  nodes: NodeProto[];
  /** The version of the standard operators. */
  operatorSet: number;
  readonly #model: ModelProto;
  readonly #graph: GraphProto;
  readonly #constants = new Map<string, TensorProto>();
  readonly #names = new Set<string>();
  readonly #nodeNames = new Set<string>();
  /** Names that subgraphs (of If, Loop, Scan) read from this graph, and all names of their own. */
  readonly #captured = new Set<string>();
  readonly #outputs: ReadonlySet<string>;
  readonly #inputs: ValueInfoProto[];

  /** @throws CompressError (`model`) */
  constructor(model: ModelProto) {
    const { graph } = model;
    if (graph === undefined) throw new CompressError('model', 'the model has no graph');
    this.#model = model;
    this.#graph = graph;
    this.operatorSet = Number(model.opsetImport.find(isStandard)?.version ?? 0);
    this.#outputs = new Set(graph.output.map(({ name }) => name));
    for (const tensor of graph.initializer) this.#constants.set(tensor.name, tensor);
    this.#inputs = graph.input.filter(({ name }) => !this.#constants.has(name));
    this.nodes = graph.node.flatMap((node) => {
      const constant = constantOf(node);
      const [name = ''] = node.output;
      // A constant that is an answer needs its node.
      if (constant !== undefined && !this.#outputs.has(name)) {
        this.#constants.set(name, constant);
        return [];
      }
      // Notes of exporters: names of files and lines of the machine that they ran on.
      const copies = { input: [...node.input], output: [...node.output], metadataProps: [] };
      return [changed(NodeProtoSchema, node, copies, [NodeProtoSchema.field.docString])];
    });
    for (const { name } of [...graph.input, ...graph.output]) this.#names.add(name);
    for (const name of this.#constants.keys()) this.#names.add(name);
    for (const node of this.nodes) {
      this.#nodeNames.add(node.name);
      for (const name of node.output) this.#names.add(name);
      for (const name of namesInSubgraphs(node)) {
        this.#captured.add(name);
        this.#names.add(name);
      }
    }
  }

  /** Inputs without constants. Before version 4 of the format constants were inputs too, whose values a caller could change. */
  get inputs(): readonly string[] {
    return this.#inputs.map(({ name }) => name);
  }

  get outputs(): ReadonlySet<string> {
    return this.#outputs;
  }

  /** The number of axes, where the model says it: of inputs and outputs it does, of others seldom. */
  rankOf(tensor: string): number | undefined {
    const constant = this.#constants.get(tensor);
    if (constant !== undefined) return constant.dims.length;
    const { input, output, valueInfo } = this.#graph;
    const type = [...input, ...output, ...valueInfo].find(({ name }) => name === tensor)?.type?.value;
    return type?.case === 'tensorType' ? type.value.shape?.dim.length : undefined;
  }

  constant(name: string | undefined): TensorProto | undefined {
    return name === undefined ? undefined : this.#constants.get(name);
  }

  get constants(): IterableIterator<TensorProto> {
    return this.#constants.values();
  }

  /** True where others than the nodes of this graph read a tensor: it must stay what it is. */
  isExposed(tensor: string): boolean {
    return this.#outputs.has(tensor) || this.#captured.has(tensor);
  }

  /** A name that no tensor has: `wish` itself where that is free. */
  freshName(wish: string): string {
    return fresh(wish, this.#names);
  }

  /** @returns the name that it got. */
  addConstant(wish: string, values: TensorValues, shape: readonly number[]): string {
    const name = this.freshName(wish);
    this.#constants.set(name, tensorOf(name, values, shape));
    return name;
  }

  /** A node's result becomes a constant: the node is the caller's to remove. */
  setConstant(name: string, values: TensorValues, shape: readonly number[]): void {
    this.#names.add(name);
    this.#constants.set(name, tensorOf(name, values, shape));
  }

  /** The same bytes under another name, and perhaps another shape. */
  aliasConstant(name: string, tensor: TensorProto, dims: readonly bigint[] = tensor.dims): void {
    this.#names.add(name);
    this.#constants.set(name, changed(TensorProtoSchema, tensor, { name, dims: [...dims] }));
  }

  /** Its name is free then, for a node that makes the tensor instead. */
  removeConstant(name: string): void {
    this.#constants.delete(name);
    this.#names.delete(name);
  }

  /**
   * A node with one output.
   * @param output a name that nothing else makes, such as one from `freshName`.
   * @returns `output`
   */
  addNode(opType: string, output: string, input: readonly string[], options: NodeOptions = {}): string {
    const { attributes = [], domain = '' } = options;
    this.#names.add(output);
    const name = fresh(output, this.#nodeNames);
    const node = { opType, domain, name, input: [...input], output: [output], attribute: [...attributes] };
    this.nodes.push(create(NodeProtoSchema, node));
    return output;
  }

  /** Every reader of `tensor` in this graph reads `other` instead. */
  redirect(tensor: string, other: string, readers: readonly NodeProto[] = this.nodes): void {
    for (const node of readers) node.input = node.input.map((name) => (name === tensor ? other : name));
  }

  /** Readers among the current nodes. */
  links(): Links {
    const producers = new Map<string, NodeProto>();
    const consumers = new Map<string, NodeProto[]>();
    for (const node of this.nodes) {
      for (const name of node.output) producers.set(name, node);
      for (const name of new Set(node.input)) {
        const readers = consumers.get(name);
        if (readers === undefined) consumers.set(name, [node]);
        else readers.push(node);
      }
    }
    return {
      producer: (tensor) => producers.get(tensor),
      consumers: (tensor) => consumers.get(tensor) ?? [],
    };
  }

  /**
   * The graph as a model.
   * @param technique is noted in the model's metadata, behind those before it.
   */
  toModel(technique: string): ModelProto {
    const node = this.#sorted();
    const live = new Set([...this.#outputs, ...this.#captured, ...node.flatMap(({ input }) => input)]);
    const made = new Set([...this.#graph.input.map(({ name }) => name), ...node.flatMap(({ output }) => output)]);
    const initializer = [...this.#constants.values()].filter(({ name }) => live.has(name)).map(withoutNotes);
    const others = this.#model.opsetImport.filter((entry) => !isStandard(entry));
    const standard = create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(this.operatorSet) });
    const opsetImport = [...(this.operatorSet === 0 ? [] : [standard]), ...others];
    const graph = changed(GraphProtoSchema, this.#graph, {
      node,
      initializer,
      input: this.#inputs,
      valueInfo: this.#graph.valueInfo
        .filter(({ name }) => made.has(name))
        .map((info) => changed(ValueInfoProtoSchema, info, { metadataProps: [] })),
      quantizationAnnotation: [],
      metadataProps: [],
    });
    // Operator set 13 came with version 7 of the format.
    const least = this.operatorSet >= 13 ? 7n : 4n;
    const irVersion = this.#model.irVersion < least ? least : this.#model.irVersion;
    const metadataProps = this.#metadata(technique);
    return changed(ModelProtoSchema, this.#model, { irVersion, opsetImport, graph, metadataProps });
  }

  #metadata(technique: string): ModelProto['metadataProps'] {
    const key = 'tensorgate.compressed';
    const before = this.#model.metadataProps.find((entry) => entry.key === key)?.value;
    const value = before === undefined ? technique : `${before},${technique}`;
    const others = this.#model.metadataProps.filter((entry) => entry.key !== key);
    return [...others, create(StringStringEntryProtoSchema, { key, value })];
  }

  /** Nodes that lead to an output, each after the nodes that it reads from, otherwise in their original order. */
  #sorted(): NodeProto[] {
    const { producer } = this.links();
    const needed = new Set<NodeProto>();
    const roots = [...this.#outputs, ...this.#captured];
    for (let name = roots.pop(); name !== undefined; name = roots.pop()) {
      const node = producer(name);
      if (node === undefined || needed.has(node)) continue;
      needed.add(node);
      roots.push(...node.input, ...namesInSubgraphs(node));
    }
    const sorted: NodeProto[] = [];
    const done = new Set<NodeProto>();
    /** Those that wait for others, which are above them on the stack. */
    const open = new Set<NodeProto>();
    for (const root of this.nodes) {
      if (!needed.has(root)) continue;
      // Depth first, without recursion: chains can be thousands of nodes long.
      const stack = [root];
      for (let node = stack.at(-1); node !== undefined; node = stack.at(-1)) {
        const waiting = done.has(node)
          ? []
          : [...node.input, ...namesInSubgraphs(node)].flatMap((name) => {
              const before = producer(name);
              return before === undefined || before === node || done.has(before) ? [] : [before];
            });
        if (waiting.some((before) => open.has(before))) {
          throw new CompressError('model', `the graph runs in a circle at node '${nameOf(node)}'`);
        }
        if (waiting.length > 0) {
          open.add(node);
          stack.push(...waiting.reverse());
          continue;
        }
        stack.pop();
        open.delete(node);
        if (!done.has(node)) sorted.push(node);
        done.add(node);
      }
    }
    return sorted;
  }
}

export interface NodeOptions {
  readonly attributes?: readonly AttributeProto[];
  /** Empty: the standard operators. */
  readonly domain?: string;
}

/** `wish`, or the first of `wish.2`, `wish.3`, … that is not in `taken`, where it then is. */
function fresh(wish: string, taken: Set<string>): string {
  let name = wish;
  for (let number = 2; taken.has(name); number++) name = `${wish}.${number}`;
  taken.add(name);
  return name;
}

/** How people find a node again: by its name, or by what it makes where it has none. */
export function nameOf({ name, output }: NodeProto): string {
  return name === '' ? (output.find((each) => each !== '') ?? '') : name;
}

function withoutNotes(tensor: TensorProto): TensorProto {
  return changed(TensorProtoSchema, tensor, { metadataProps: [] }, [TensorProtoSchema.field.docString]);
}
