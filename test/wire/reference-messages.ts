import protobuf from 'protobufjs';

import type { InferParameter, InferParameters } from '../../src/wire/infer-parameter.ts';

/** The inference messages as an independent implementation sees them. */
const messages = `
syntax = "proto3";
package inference;

message InferParameter {
  oneof parameter_choice {
    bool bool_param = 1;
    int64 int64_param = 2;
    string string_param = 3;
    double double_param = 4;
    uint64 uint64_param = 5;
  }
}

message InferTensorContents {
  repeated bool bool_contents = 1;
  repeated int32 int_contents = 2;
  repeated int64 int64_contents = 3;
  repeated uint32 uint_contents = 4;
  repeated uint64 uint64_contents = 5;
  repeated float fp32_contents = 6;
  repeated double fp64_contents = 7;
  repeated bytes bytes_contents = 8;
}

message UnpackedTensorContents {
  repeated bool bool_contents = 1 [packed = false];
  repeated int32 int_contents = 2 [packed = false];
  repeated int64 int64_contents = 3 [packed = false];
  repeated uint32 uint_contents = 4 [packed = false];
  repeated uint64 uint64_contents = 5 [packed = false];
  repeated float fp32_contents = 6 [packed = false];
  repeated double fp64_contents = 7 [packed = false];
  repeated bytes bytes_contents = 8;
}

message Tensor {
  string name = 1;
  string datatype = 2;
  repeated int64 shape = 3;
  map<string, InferParameter> parameters = 4;
  InferTensorContents contents = 5;
}

message RequestedOutput {
  string name = 1;
  map<string, InferParameter> parameters = 2;
}

message ModelInferRequest {
  string model_name = 1;
  string model_version = 2;
  string id = 3;
  map<string, InferParameter> parameters = 4;
  repeated Tensor inputs = 5;
  repeated RequestedOutput outputs = 6;
  repeated bytes raw_input_contents = 7;
}

message ModelInferResponse {
  string model_name = 1;
  string model_version = 2;
  string id = 3;
  map<string, InferParameter> parameters = 4;
  repeated Tensor outputs = 5;
  repeated bytes raw_output_contents = 6;
}

message ModelStreamInferResponse {
  string error_message = 1;
  ModelInferResponse infer_response = 2;
}
`;

const root = protobuf.parse(messages).root.resolveAll();

/** Part of protobufjs, which declares it without its functions. */
const Long = protobuf.util.Long as unknown as { fromString(digits: string, unsigned: boolean): unknown };

export type MessageName =
  | 'InferTensorContents'
  | 'UnpackedTensorContents'
  | 'ModelInferRequest'
  | 'ModelInferResponse'
  | 'ModelStreamInferResponse';

export type Plain = Record<string, unknown>;

/** Encodes with protobufjs. Absent fields are not written, present ones are, default or not. */
export function encodeReference(name: MessageName, message: Plain): Uint8Array {
  return root.lookupType(`inference.${name}`).encode(message).finish();
}

/** Decodes with protobufjs: 64-bit integers become bigints, absent fields their defaults. */
export function decodeReference(name: MessageName, bytes: Uint8Array): Plain {
  return root.lookupType(`inference.${name}`).decode(bytes) as unknown as Plain;
}

/** A 64-bit integer as protobufjs wants it. */
export function toLong(value: bigint | number, unsigned: boolean): unknown {
  return Long.fromString(BigInt(value).toString(), unsigned);
}

export function fromLong(value: unknown): bigint {
  return BigInt(String(value));
}

/** A parameter map as protobufjs wants it. */
export function toReferenceParameters(parameters: InferParameters): Plain {
  return Object.fromEntries([...parameters].map(([key, parameter]) => [key, toReferenceParameter(parameter)]));
}

function toReferenceParameter(parameter: InferParameter): Plain {
  switch (parameter.kind) {
    case 'bool':
      return { boolParam: parameter.value };
    case 'int64':
      return { int64Param: toLong(parameter.value, false) };
    case 'string':
      return { stringParam: parameter.value };
    case 'double':
      return { doubleParam: parameter.value };
    case 'uint64':
      return { uint64Param: toLong(parameter.value, true) };
    case 'none':
      return {};
  }
}

/** A parameter map as protobufjs gives it. */
export function fromReferenceParameters(parameters: unknown): InferParameters {
  return new Map(
    Object.entries(parameters as Plain).map(([key, value]) => [key, fromReferenceParameter(value as Plain | null)]),
  );
}

/** An entry without a value is `null` there. Of several kinds set the last counts, as they come in the order they were set. */
function fromReferenceParameter(value: Plain | null): InferParameter {
  const [field, content] = Object.entries(value ?? {}).at(-1) ?? [];
  switch (field) {
    case 'boolParam':
      return { kind: 'bool', value: content as boolean };
    case 'int64Param':
      return { kind: 'int64', value: fromLong(content) };
    case 'stringParam':
      return { kind: 'string', value: content as string };
    case 'doubleParam':
      return { kind: 'double', value: content as number };
    case 'uint64Param':
      return { kind: 'uint64', value: fromLong(content) };
    default:
      return { kind: 'none' };
  }
}
