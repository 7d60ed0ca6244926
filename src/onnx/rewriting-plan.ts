/**
 * The changes that a model needs so that its inputs and outputs can be served: decided by its outline. Most models need nothing.
 *
 * REWRITE-1: a rewritten model computes what the original computes. Weights keep their bytes.
 */

import {
  firstText,
  GRAPH_INITIALIZER,
  GRAPH_NODE,
  type ModelOutline,
  type OutlineValue,
  type Part,
  textsOf,
} from './model-outline.ts';
import type { MessageBytes } from './protobuf-field.ts';

/** An output of maps that a ZipMap node makes of a tensor. */
export interface ZipMapCut {
  readonly output: OutlineValue;
  readonly node: Part;
}

/** An input with an initializer, which ONNX Runtime's binding does not report: without the initializer it is an input like others. */
export interface DefaultedInput {
  readonly input: OutlineValue;
  readonly initializer: Part;
}

export interface RewritingPlan {
  readonly defaults: readonly DefaultedInput[];
  readonly cuts: readonly ZipMapCut[];
  /** BF16 tensors, for which ONNX Runtime's binding has no element type: they become FLOAT, with a Cast inside of the graph. */
  readonly narrowInputs: readonly OutlineValue[];
  readonly narrowOutputs: readonly OutlineValue[];
  /** The output that ONNX Runtime's binding cannot give, because it keeps outputs by name in plain objects. */
  readonly unreadable: OutlineValue | undefined;
  /** Outputs that cannot be served, and that no one asks for. */
  readonly dropped: readonly OutlineValue[];
  /** Names of all tensors of the graph. */
  readonly names: ReadonlySet<string>;
}

/** `TensorProto.DataType.BFLOAT16`. */
export const BFLOAT16 = 16;
/** From FLOAT to UINT64, without the complex types: what ONNX Runtime's binding can open. */
const SERVED_TYPES: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, BFLOAT16]);
/** Types of `TensorProto.DataType` for which the protocol has no datatype. */
const UNSERVED_TYPES: ReadonlyMap<number, string> = new Map([
  [14, 'COMPLEX64'],
  [15, 'COMPLEX128'],
  [17, 'FLOAT8E4M3FN'],
  [18, 'FLOAT8E4M3FNUZ'],
  [19, 'FLOAT8E5M2'],
  [20, 'FLOAT8E5M2FNUZ'],
  [21, 'UINT4'],
  [22, 'INT4'],
  [23, 'FLOAT4E2M1'],
  [24, 'FLOAT8E8M0'],
  [25, 'UINT2'],
  [26, 'INT2'],
]);

/** A tensor of a type that is served; of unknown type too, about which ONNX Runtime knows more. */
function isServed({ kind, elementType }: OutlineValue): boolean {
  return kind === 'unknown' || (kind === 'tensor' && (elementType === 0 || SERVED_TYPES.has(elementType)));
}

/** The part of the configuration that names tensors of a model. */
export interface Wishes {
  /** The outputs that are served; all of them where absent. */
  readonly outputs?: readonly string[] | undefined;
  /** Inputs that it names. */
  readonly inputs?: readonly string[] | undefined;
}

/**
 * @returns undefined where the model can be opened as it is.
 * @throws Error that names an input or output which cannot be served, and says what to export instead.
 */
export function planRewriting(
  message: MessageBytes,
  outline: ModelOutline,
  { outputs: wanted, inputs: named = [] }: Wishes = {},
): RewritingPlan | undefined {
  const { inputs, outputs } = outline;
  const isBf16 = ({ kind, elementType }: OutlineValue): boolean => kind === 'tensor' && elementType === BFLOAT16;
  const narrowInputs = inputs.filter(isBf16);
  const narrowOutputs = outputs.filter(isBf16);
  const unserved = outputs.filter((output) => !isServed(output));
  const input = inputs.find((each) => !isServed(each));
  if (input !== undefined) throw new Error(`input '${input.name}' is ${described(input)}: ${advice(input)}`);
  let known: ReadonlyMap<string, Part> | undefined;
  const initializers = (): ReadonlyMap<string, Part> => (known ??= initializersOf(message, outline));
  const defaults = defaultedInputs(outline, initializers, named);
  const unreadable = outputs.find((output) => output.name === '__proto__' && isServed(output) && !isBf16(output));
  const changes = [...defaults, ...narrowInputs, ...narrowOutputs, ...unserved];
  if (changes.length === 0 && unreadable === undefined) return undefined;
  const nodes = readNodes(message, outline);
  const cuts = unserved.flatMap((output) => cutOf(output, nodes) ?? []);
  const dropped = unserved.filter((output) => !cuts.some((cut) => cut.output === output));
  const problem = dropped.find(({ name }) => wanted?.includes(name) ?? true);
  if (problem !== undefined) {
    const others = outputs.filter((output) => !dropped.includes(output)).map(({ name }) => `'${name}'`);
    const rest = others.length === 0 ? '' : `, or list the other outputs (${others.join(', ')}) in the configuration`;
    throw new Error(`output '${problem.name}' is ${described(problem)}: ${advice(problem)}${rest}`);
  }
  const names = new Set([...inputs, ...outputs].map(({ name }) => name));
  for (const name of initializers().keys()) names.add(name);
  for (const node of nodes) for (const name of node.outputs) names.add(name);
  return { defaults, cuts, narrowInputs, narrowOutputs, unreadable, dropped, names };
}

/** Before this version of the format every constant was an input too, and ONNX Runtime lets no one change it. */
const OVERRIDABLE_IR_VERSION = 4;
/** The values are sent to the model with each request that leaves the input out. */
const MAX_DEFAULT_BYTES = 1024 * 1024;
/** More are weights, which some exporters list among the inputs: then only those that the configuration names are inputs. */
const MAX_UNNAMED_DEFAULTS = 16;

function initializersOf(message: MessageBytes, { graphParts }: ModelOutline): ReadonlyMap<string, Part> {
  const initializers = new Map<string, Part>();
  for (const part of graphParts) {
    const name = part.number === GRAPH_INITIALIZER ? firstText(message, part, INITIALIZER_NAME) : undefined;
    if (name !== undefined) initializers.set(name, part);
  }
  return initializers;
}

function defaultedInputs(
  { irVersion, inputs }: ModelOutline,
  initializers: () => ReadonlyMap<string, Part>,
  named: readonly string[],
): DefaultedInput[] {
  if (irVersion < OVERRIDABLE_IR_VERSION) return [];
  const values = initializers();
  const all = inputs.flatMap((input) => {
    const initializer = values.get(input.name);
    return initializer === undefined ? [] : [{ input, initializer }];
  });
  const isWeights = all.length > MAX_UNNAMED_DEFAULTS;
  return all.filter(({ input, initializer }) => {
    const isSmall = initializer.end - initializer.start <= MAX_DEFAULT_BYTES;
    return isSmall && (!isWeights || named.includes(input.name));
  });
}

function described({ kind, held, elementType }: OutlineValue): string {
  const only = 'and only tensors can be served';
  switch (kind) {
    case 'tensor':
      return `a tensor of ${UNSERVED_TYPES.get(elementType) ?? `the element type ${elementType}`}`;
    case 'sequence':
      return `a sequence of ${held === 'unknown' ? 'values' : `${held}s`}, ${only}`;
    case 'optional':
      return `an optional ${held === 'unknown' ? 'value' : held}, ${only}`;
    default:
      return `a ${kind}, ${only}`;
  }
}

const ZIP_MAP_ADVICE =
  "if skl2onnx made the model, convert it with options={'zipmap': False}; otherwise export the values of the map as a tensor";

function advice({ kind, held, elementType }: OutlineValue): string {
  if (kind === 'map' || held === 'map') return ZIP_MAP_ADVICE;
  switch (kind) {
    case 'sequence':
      return 'export each tensor of the sequence as an output of its own, or join them with ConcatFromSequence (of a scikit-learn model with several targets, convert one model for each target)';
    case 'optional':
      return 'export the tensor itself, without Optional';
    case 'sparse tensor':
      return 'export it as a dense tensor';
    default:
      return elementType === 14 || elementType === 15
        ? 'export the real and the imaginary part as FP32 tensors'
        : 'cast it to a datatype of the protocol in the model, such as FP16, FP32 or INT8';
  }
}

interface OutlineNode {
  readonly part: Part;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly opType: string | undefined;
}

/** Fields of NodeProto and TensorProto. */
const NODE_INPUT = 1;
const NODE_OUTPUT = 2;
const NODE_OPERATOR = 4;
const INITIALIZER_NAME = 8;

function readNodes(message: MessageBytes, { graphParts }: ModelOutline): OutlineNode[] {
  return graphParts
    .filter(({ number }) => number === GRAPH_NODE)
    .map((part) => ({
      part,
      inputs: [...textsOf(message, part, NODE_INPUT)],
      outputs: [...textsOf(message, part, NODE_OUTPUT)],
      opType: firstText(message, part, NODE_OPERATOR),
    }));
}

/** The ZipMap that makes an output that no other node reads. */
function cutOf(output: OutlineValue, nodes: readonly OutlineNode[]): ZipMapCut | undefined {
  const node = nodes.find(({ outputs, opType }) => opType === 'ZipMap' && outputs.includes(output.name));
  if (node === undefined || nodes.some(({ inputs }) => inputs.includes(output.name))) return undefined;
  return { output, node: node.part };
}
