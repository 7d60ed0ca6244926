/**
 * A model with other inputs and outputs than its file has. Only what changes is decoded: the rest are ranges of the file, so that
 * weights are copied once, into the model in memory.
 */

import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import {
  GRAPH_INPUT,
  GRAPH_NODE,
  GRAPH_OUTPUT,
  MODEL_GRAPH,
  type ModelOutline,
  type OutlineValue,
  type Part,
} from './model-outline.ts';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataType,
  TensorProtoSchema,
  type TensorShapeProto_Dimension,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx_pb.ts';
import { DamagedMessage, fieldHead, type MessageBytes } from './protobuf-field.ts';
import type { DefaultedInput, RewritingPlan, ZipMapCut } from './rewriting-plan.ts';
import { contentsOf } from './tensor-contents.ts';

interface FileRange {
  readonly at: number;
  readonly end: number;
}

/** The value of an input that callers may leave out. */
interface DefaultContents {
  readonly shape: readonly number[];
  /** In raw form. */
  readonly data: Uint8Array;
}

export interface RewrittenModel {
  /** The model's message, in its order. */
  readonly pieces: readonly (Uint8Array | FileRange)[];
  readonly byteLength: number;
  /** Names in the rewritten model of BF16 inputs and outputs, which are FLOAT there. */
  readonly floatInputs: ReadonlyMap<string, string>;
  readonly floatOutputs: ReadonlyMap<string, string>;
  /** Names in the rewritten model of other outputs that are called otherwise there. */
  readonly renamedOutputs: ReadonlyMap<string, string>;
  /** Values of inputs that have an initializer in the file: in the rewritten model they are inputs like others. */
  readonly defaults: ReadonlyMap<string, DefaultContents>;
  /** Facts for the operator. */
  readonly notes: readonly string[];
}

/** Field of ModelProto. */
const MODEL_OPERATOR_SET = 8;
/** The first operator set whose Cast knows BF16. */
const OPERATOR_SET = 13n;

/** @throws DamagedMessage */
export function rewriteModel(message: MessageBytes, outline: ModelOutline, plan: RewritingPlan): RewrittenModel {
  return new Rewriting(message, outline, plan).finish();
}

class Rewriting {
  readonly #message: MessageBytes;
  readonly #outline: ModelOutline;
  readonly #plan: RewritingPlan;
  readonly #names: Set<string>;
  /** Replacements of parts of the graph. */
  readonly #replaced = new Map<Part, Uint8Array>();
  /** Nodes before and behind the nodes of the file: a graph is in topological order. */
  readonly #before: Uint8Array[] = [];
  readonly #behind: Uint8Array[] = [];
  readonly #notes: string[] = [];

  constructor(message: MessageBytes, outline: ModelOutline, plan: RewritingPlan) {
    this.#message = message;
    this.#outline = outline;
    this.#plan = plan;
    this.#names = new Set(plan.names);
  }

  finish(): RewrittenModel {
    const { defaults: defaulted, cuts, narrowInputs, narrowOutputs, unreadable, dropped } = this.#plan;
    const defaults = new Map(defaulted.flatMap((each) => this.#freed(each)));
    for (const cut of cuts) this.#cut(cut);
    for (const { part } of dropped) this.#replaced.set(part, NOTHING);
    const floatInputs = new Map(narrowInputs.map((input) => [input.name, this.#widenInput(input)]));
    const floatOutputs = new Map(narrowOutputs.map((output) => [output.name, this.#widenOutput(output)]));
    const renamedOutputs = new Map(unreadable && [[unreadable.name, this.#rename(unreadable)]]);
    const pieces = this.#pieces();
    return {
      pieces,
      byteLength: lengthOf(pieces),
      floatInputs,
      floatOutputs,
      renamedOutputs,
      defaults,
      notes: this.#notes,
    };
  }

  /** Drops the initializer of an input. @returns nothing where its values cannot be given: then it stays */
  #freed({ input, initializer }: DefaultedInput): [string, DefaultContents][] {
    const tensor = this.#decode(TensorProtoSchema, initializer);
    const data = contentsOf(tensor);
    if (data === undefined) return [];
    this.#replaced.set(initializer, NOTHING);
    return [[input.name, { shape: tensor.dims.map(Number), data }]];
  }

  /** The output becomes the tensor from which ZipMap makes its maps. */
  #cut({ output, node: part }: ZipMapCut): void {
    const node = this.#decode(NodeProtoSchema, part);
    const classes = classesOf(node);
    const [values = ''] = node.input;
    this.#replaced.set(
      part,
      nodeField({ opType: 'Identity', name: node.name, input: [values], output: [output.name] }),
    );
    const info = create(ValueInfoProtoSchema, {
      name: output.name,
      type: {
        value: {
          case: 'tensorType',
          value: {
            elemType: TensorProto_DataType.FLOAT,
            shape: { dim: [this.#rows(), { value: { case: 'dimValue', value: BigInt(classes.length) } }] },
          },
        },
      },
    });
    this.#replaced.set(output.part, infoField(GRAPH_OUTPUT, info));
    const names = classes.slice(0, MAX_NOTED_CLASSES).join(', ') + (classes.length > MAX_NOTED_CLASSES ? ', …' : '');
    this.#notes.push(
      `output '${output.name}' is served as a tensor, FP32 [-1,${classes.length}], without the ZipMap that made maps of it; its columns are the classes ${names}`,
    );
  }

  /** The batch axis, as the first input has it. */
  #rows(): TensorShapeProto_Dimension {
    const defaulted = this.#plan.defaults.map(({ input }) => input);
    for (const input of this.#outline.inputs) {
      if (defaulted.includes(input)) continue;
      const type = this.#decode(ValueInfoProtoSchema, input.part).type?.value;
      const [first] = type?.case === 'tensorType' ? (type.value.shape?.dim ?? []) : [];
      if (first !== undefined) return first;
    }
    return create(TensorShapeProto_DimensionSchema);
  }

  /** @returns the name that the input has in the rewritten model */
  #widenInput({ name, part }: OutlineValue): string {
    const outer = this.#freshName(`${name}.float32`);
    this.#replaced.set(part, this.#asFloat(GRAPH_INPUT, part, outer));
    this.#before.push(castField(outer, name, TensorProto_DataType.BFLOAT16));
    return outer;
  }

  #widenOutput({ name, part }: OutlineValue): string {
    const outer = this.#freshName(`${name}.float32`);
    this.#replaced.set(part, this.#asFloat(GRAPH_OUTPUT, part, outer));
    this.#behind.push(castField(name, outer, TensorProto_DataType.FLOAT));
    return outer;
  }

  #rename({ name, part }: OutlineValue): string {
    const info = this.#decode(ValueInfoProtoSchema, part);
    info.name = this.#freshName('renamed');
    this.#replaced.set(part, infoField(GRAPH_OUTPUT, info));
    this.#behind.push(nodeField({ opType: 'Identity', name: info.name, input: [name], output: [info.name] }));
    return info.name;
  }

  #asFloat(field: number, part: Part, name: string): Uint8Array {
    const info = this.#decode(ValueInfoProtoSchema, part);
    info.name = name;
    if (info.type?.value.case === 'tensorType') info.type.value.value.elemType = TensorProto_DataType.FLOAT;
    return infoField(field, info);
  }

  /** `wish`, or the first of `wish.2`, `wish.3`, … that no tensor has. */
  #freshName(wish: string): string {
    let fresh = wish;
    for (let number = 2; this.#names.has(fresh); number++) fresh = `${wish}.${number}`;
    this.#names.add(fresh);
    return fresh;
  }

  #pieces(): (Uint8Array | FileRange)[] {
    const { parts, graphParts } = this.#outline;
    const inner = graphParts.map((part) => this.#replaced.get(part) ?? part);
    const graph = joined([...this.#before, ...inner, ...this.#behind]);
    const isStandard = (part: Part): boolean =>
      ['', 'ai.onnx'].includes(this.#decode(OperatorSetIdProtoSchema, part).domain);
    const knowsOperators = parts.some((part) => part.number === MODEL_OPERATOR_SET && isStandard(part));
    const standard = toBinary(OperatorSetIdProtoSchema, create(OperatorSetIdProtoSchema, { version: OPERATOR_SET }));
    return joined([
      ...parts,
      ...(knowsOperators ? [] : [field(MODEL_OPERATOR_SET, standard)]),
      fieldHead(MODEL_GRAPH, lengthOf(graph)),
      ...graph,
    ]);
  }

  /** @throws DamagedMessage */
  #decode<Desc extends DescMessage>(schema: Desc, { start, end }: Part): MessageShape<Desc> {
    // A copy, because others are read before it is used up.
    const bytes = Uint8Array.from(this.#message.bytes(start, end - start));
    try {
      return fromBinary(schema, bytes);
    } catch (cause) {
      throw new DamagedMessage(`no ${schema.name} at byte ${start}`, { cause });
    }
  }
}

const NOTHING = new Uint8Array(0);
const MAX_NOTED_CLASSES = 20;

/** Names of the columns that ZipMap turns into entries of a map. */
function classesOf({ attribute }: NodeProto): string[] {
  return attribute.flatMap(({ name, ints, strings }) => {
    if (name === 'classlabels_int64s') return ints.map(String);
    return name === 'classlabels_strings' ? strings.map((label) => Buffer.from(label).toString('utf8')) : [];
  });
}

function castField(input: string, output: string, to: TensorProto_DataType): Uint8Array {
  const type = AttributeProto_AttributeType.INT;
  const attribute = [create(AttributeProtoSchema, { name: 'to', type, i: BigInt(to) })];
  return nodeField({ opType: 'Cast', name: output, input: [input], output: [output], attribute });
}

function nodeField(node: MessageInitShape<typeof NodeProtoSchema>): Uint8Array {
  return field(GRAPH_NODE, toBinary(NodeProtoSchema, create(NodeProtoSchema, node)));
}

function infoField(number: number, info: ValueInfoProto): Uint8Array {
  return field(number, toBinary(ValueInfoProtoSchema, info));
}

function field(number: number, contents: Uint8Array): Uint8Array {
  return Buffer.concat([fieldHead(number, contents.byteLength), contents]);
}

function lengthOf(pieces: readonly (Uint8Array | FileRange)[]): number {
  return pieces.reduce((sum, piece) => sum + (isRange(piece) ? piece.end - piece.at : piece.byteLength), 0);
}

/** Ranges that follow each other become one. */
function joined(pieces: readonly (Uint8Array | FileRange)[]): (Uint8Array | FileRange)[] {
  const all: (Uint8Array | FileRange)[] = [];
  for (const piece of pieces) {
    const last = all.at(-1);
    if (isRange(piece) && last !== undefined && isRange(last) && last.end === piece.at) {
      all[all.length - 1] = { at: last.at, end: piece.end };
    } else all.push(piece);
  }
  return all;
}

export function isRange(piece: Uint8Array | FileRange): piece is FileRange {
  return !(piece instanceof Uint8Array);
}
