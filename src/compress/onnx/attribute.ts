/** Attributes of nodes: numbers and names that are not tensors. */

import { create } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type NodeProto,
} from '../../onnx/onnx_pb.ts';

const Type = AttributeProto_AttributeType;

function find({ attribute }: NodeProto, name: string): AttributeProto | undefined {
  return attribute.find((each) => each.name === name);
}

export function integerAttribute(node: NodeProto, name: string, otherwise: number): number {
  const found = find(node, name);
  return found === undefined ? otherwise : Number(found.i);
}

export function floatAttribute(node: NodeProto, name: string, otherwise: number): number {
  return find(node, name)?.f ?? otherwise;
}

export function integersAttribute(node: NodeProto, name: string): number[] | undefined {
  return find(node, name)?.ints.map(Number);
}

export function textAttribute(node: NodeProto, name: string, otherwise: string): string {
  const found = find(node, name);
  return found === undefined ? otherwise : Buffer.from(found.s).toString('utf8');
}

export function attributeOf(node: NodeProto, name: string): AttributeProto | undefined {
  return find(node, name);
}

export function integer(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: Type.INT, i: BigInt(value) });
}

export function text(name: string, value: string): AttributeProto {
  return create(AttributeProtoSchema, { name, type: Type.STRING, s: Buffer.from(value) });
}
