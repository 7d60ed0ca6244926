/** Server reflection (v1 and v1alpha), so that grpcurl and other clients need no files. */

import { type Descriptors, importsOf } from '../../wire/descriptors.ts';
import { InferError, Status } from '../errors.ts';
import type { Method, Routes, StreamingCall } from './call.ts';
import { type Codec, loadCodecs, MAX_REQUEST_BYTES, PROTOCOL_FILES } from './definition.ts';
import { failWith } from './failure.ts';

const SERVICE = 'grpc.reflection.v1.ServerReflection';
/** The older version has the same messages. */
const ALPHA_PATH = '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo';

/** A `ServerReflectionRequest`: one of its members is there. */
interface ReflectionRequest {
  readonly host: string;
  readonly file_by_filename?: string;
  readonly file_containing_symbol?: string;
  readonly file_containing_extension?: { readonly containing_type: string; readonly extension_number: number };
  readonly all_extension_numbers_of_type?: string;
  readonly list_services?: string;
}

interface ReflectionAnswer {
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Uint8Array[] };
  readonly all_extension_numbers_response?: { readonly base_type_name: string };
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly error_response?: { readonly error_code: number; readonly error_message: string };
}

interface ReflectionResponse extends ReflectionAnswer {
  readonly valid_host: string;
  readonly original_request: ReflectionRequest;
}

interface ReflectionRpcs {
  readonly ServerReflectionInfo: { readonly request: ReflectionRequest; readonly response: ReflectionResponse };
}

/** The routes that describe the services of `proto/`, by the descriptors that `buf` compiled (`npm run gen`). */
export function reflectionRoutes(): Routes {
  const { ServerReflectionInfo } = loadCodecs<ReflectionRpcs>(SERVICE);
  const method = reflectionMethod(ServerReflectionInfo);
  return new Map([
    [ServerReflectionInfo.path, method],
    [ALPHA_PATH, method],
  ]);
}

function reflectionMethod(codec: Codec<ReflectionRequest, ReflectionResponse>): Method {
  return {
    kind: 'streaming',
    maxMessageBytes: MAX_REQUEST_BYTES,
    handle(call: StreamingCall) {
      call.onMessage = (bytes) => {
        try {
          const request = codec.decode(bytes);
          const response = { valid_host: request.host, original_request: request, ...answerTo(request) };
          if (!call.write([codec.encode(response)])) call.pause();
        } catch (thrown) {
          failWith(call, InferError.from(thrown));
        }
      };
      call.onEnd = () => call.end();
      call.onDrain = () => call.resume();
    },
  };
}

function answerTo(request: ReflectionRequest): ReflectionAnswer {
  if (request.list_services !== undefined) {
    const names = [...PROTOCOL_FILES.values()].flatMap(({ descriptors }) => [...descriptors.services.keys()]);
    return { list_services_response: { service: names.map((name) => ({ name })) } };
  }
  const { file_by_filename: file, file_containing_symbol: symbol, file_containing_extension: extension } = request;
  if (file !== undefined) return filesFrom(file) ?? notFound(`there is no file '${file}'`);
  if (symbol !== undefined) return filesFrom(fileOf(symbol)) ?? notFound(`there is no symbol '${symbol}'`);
  const type = extension?.containing_type ?? request.all_extension_numbers_of_type;
  if (type === undefined) return failure(Status.UNIMPLEMENTED, 'the request asks for nothing that is known');
  if (extension !== undefined || fileOf(type) === undefined) return notFound(`there is no extension of '${type}'`);
  return { all_extension_numbers_response: { base_type_name: type } };
}

function notFound(text: string): ReflectionAnswer {
  return failure(Status.NOT_FOUND, text);
}

function failure(code: number, text: string): ReflectionAnswer {
  return { error_response: { error_code: code, error_message: text } };
}

/** The file and, after it, all that it imports. */
function filesFrom(name: string | undefined): ReflectionAnswer | undefined {
  if (name === undefined || !PROTOCOL_FILES.has(name)) return undefined;
  const names = new Set([name]);
  // The iteration of a set includes names that are added meanwhile.
  const files = Array.from(names, (each) => {
    const encoded = PROTOCOL_FILES.get(each)?.encoded ?? new Uint8Array();
    for (const imported of importsOf(encoded)) names.add(imported);
    return encoded;
  });
  return { file_descriptor_response: { file_descriptor_proto: files } };
}

/** The file that defines each symbol, by full name. */
const symbols = new Map<string, string>();

function fileOf(symbol: string): string | undefined {
  if (symbols.size === 0) {
    for (const [file, { descriptors }] of PROTOCOL_FILES) {
      for (const name of symbolsOf(descriptors)) symbols.set(name, file);
    }
  }
  return symbols.get(symbol);
}

/** Values of an enum have their names in the scope around the enum (descriptor.proto, `EnumValueDescriptorProto`). */
function* symbolsOf({ messages, enums, services }: Descriptors): Iterable<string> {
  for (const [message, { fields }] of messages) {
    yield message;
    for (const { name } of fields) yield `${message}.${name}`;
  }
  for (const [name, values] of enums) {
    yield name;
    for (const value of values.keys()) yield `${name.slice(0, name.lastIndexOf('.'))}.${value}`;
  }
  for (const [service, rpcs] of services) {
    yield service;
    for (const rpc of rpcs.keys()) yield `${service}.${rpc}`;
  }
}
