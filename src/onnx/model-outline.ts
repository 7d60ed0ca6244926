/**
 * The inputs and outputs of an ONNX file's graph, and where the parts of its message lie. Weights are not read, so that the
 * outline of a model of gigabytes costs as much as the outline of a small one.
 */

import { fieldsOf, ifSound, type MessageBytes } from './protobuf-field.ts';

/** A field of a message, with its tag. */
export interface Part {
  readonly number: number;
  readonly at: number;
  /** Where its contents begin. */
  readonly start: number;
  readonly end: number;
}

/** How ONNX calls what a value holds. */
type ValueKind = 'tensor' | 'sequence' | 'map' | 'sparse tensor' | 'optional' | 'unknown';

/** An input or output of the graph. */
export interface OutlineValue {
  readonly name: string;
  readonly part: Part;
  readonly kind: ValueKind;
  /** For a tensor, its number in `TensorProto.DataType`. */
  readonly elementType: number;
  /** For a sequence or an optional value, what it holds. */
  readonly held: ValueKind;
}

export interface ModelOutline {
  readonly irVersion: number;
  /** Fields of the model, without its graph. */
  readonly parts: readonly Part[];
  readonly graphParts: readonly Part[];
  readonly inputs: readonly OutlineValue[];
  readonly outputs: readonly OutlineValue[];
}

/** Fields of ONNX's messages (onnx.proto). */
const MODEL_IR_VERSION = 1;
export const MODEL_GRAPH = 7;
export const GRAPH_NODE = 1;
export const GRAPH_INITIALIZER = 5;
export const GRAPH_INPUT = 11;
export const GRAPH_OUTPUT = 12;
const INFO_NAME = 1;
const INFO_TYPE = 2;
const TENSOR_ELEMENT_TYPE = 1;
const KINDS: ReadonlyMap<number, ValueKind> = new Map([
  [1, 'tensor'],
  [4, 'sequence'],
  [5, 'map'],
  [8, 'sparse tensor'],
  [9, 'optional'],
]);

/** @returns undefined where the file holds no message that can be followed: ONNX Runtime says what is wrong with it. */
export function outlineOf(message: MessageBytes): ModelOutline | undefined {
  return ifSound(() => readOutline(message));
}

function readOutline(message: MessageBytes): ModelOutline | undefined {
  let irVersion = 0;
  const parts: Part[] = [];
  const graphs: Part[] = [];
  for (const field of fieldsOf(message, 0, message.size)) {
    if (field.number === MODEL_IR_VERSION) irVersion = field.value;
    (field.number === MODEL_GRAPH ? graphs : parts).push(field);
  }
  const [graph] = graphs;
  if (graph === undefined || graphs.length > 1) return undefined;
  const graphParts = [...fieldsOf(message, graph.start, graph.end)];
  const values = (number: number): OutlineValue[] =>
    graphParts.filter((part) => part.number === number).map((part) => readValue(message, part));
  return { irVersion, parts, graphParts, inputs: values(GRAPH_INPUT), outputs: values(GRAPH_OUTPUT) };
}

function readValue(message: MessageBytes, part: Part): OutlineValue {
  let value: Omit<OutlineValue, 'name' | 'part'> = { kind: 'unknown', elementType: 0, held: 'unknown' };
  for (const field of fieldsOf(message, part.start, part.end)) {
    if (field.number !== INFO_TYPE) continue;
    for (const type of fieldsOf(message, field.start, field.end)) {
      const kind = KINDS.get(type.number);
      if (kind !== undefined) value = { kind, ...contentsOf(message, kind, type) };
    }
  }
  return { name: firstText(message, part, INFO_NAME) ?? '', part, ...value };
}

function contentsOf(message: MessageBytes, kind: ValueKind, type: Part): Pick<OutlineValue, 'elementType' | 'held'> {
  let elementType = 0;
  let held: ValueKind = 'unknown';
  for (const field of fieldsOf(message, type.start, type.end)) {
    if (field.number !== TENSOR_ELEMENT_TYPE) continue;
    if (kind === 'tensor') elementType = field.value;
    // A sequence and an optional value hold a TypeProto.
    else if (kind === 'sequence' || kind === 'optional')
      for (const inner of fieldsOf(message, field.start, field.end)) held = KINDS.get(inner.number) ?? held;
  }
  return { elementType, held };
}

/** Names and the like: the contents of all fields of a part with this number. @throws DamagedMessage */
export function* textsOf(message: MessageBytes, { start, end }: Part, number: number): Generator<string, undefined> {
  for (const field of fieldsOf(message, start, end)) {
    if (field.number !== number) continue;
    const length = Math.min(field.end - field.start, MAX_TEXT_BYTES);
    yield Buffer.from(message.bytes(field.start, length)).toString('utf8');
  }
}

/** The first of these texts; the fields behind it are not read. @throws DamagedMessage */
export function firstText(message: MessageBytes, part: Part, number: number): string | undefined {
  return textsOf(message, part, number).next().value;
}

const MAX_TEXT_BYTES = 64 * 1024;
