/** Server reflection (v1 and v1alpha), so that grpcurl needs no files: `@grpc/reflection`, behind our own transport. */

import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import type { ServiceDefinition as GrpcServiceDefinition, Server } from '@grpc/grpc-js';
import type { PackageDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { DESCRIPTOR_SET_PATH } from '../../protocol-files.ts';
import { fileDescriptors } from '../../wire/descriptors.ts';
import { InferError } from '../errors.ts';
import type { Method, Routes, StreamingCall } from './call.ts';
import { type Codec, codecOf, MAX_REQUEST_BYTES } from './definition.ts';
import { failWith } from './failure.ts';

/** The handler of a bidirectional stream, as the library registers it. */
type StreamHandler = (stream: ReflectionStream) => void;

/**
 * The routes that describe the services of `proto/`.
 *
 * The descriptors are those that `buf` compiled (`npm run gen`). proto-loader's own would do for `list`, but it names the
 * entry messages of maps wrongly, and grpcurl then refuses to describe or call anything.
 */
export function reflectionRoutes(): Routes {
  const files = fileDescriptors(readFileSync(DESCRIPTOR_SET_PATH)).values();
  const fileDescriptorProtos = Array.from(files, (file) => Buffer.from(file));
  // All that the library reads of a package definition are the files of its entries.
  const definition = { proto: { fileDescriptorProtos } } as unknown as PackageDefinition;
  const routes = new Map<string, Method>();
  new ReflectionService(definition).addToServer({
    addService(service: GrpcServiceDefinition, handlers: Record<string, StreamHandler>): void {
      for (const [name, method] of Object.entries(service as ServiceDefinition)) {
        const handler = handlers[name];
        if (handler !== undefined) routes.set(method.path, streamMethod(codecOf(method), handler));
      }
    },
  } as unknown as Server);
  return routes;
}

function streamMethod(codec: Codec<object, object>, handler: StreamHandler): Method {
  return {
    kind: 'streaming',
    maxMessageBytes: MAX_REQUEST_BYTES,
    handle(call) {
      const stream = new ReflectionStream(call, codec);
      handler(stream);
      call.onMessage = (bytes) => {
        try {
          stream.emit('data', codec.decode(bytes));
        } catch (thrown) {
          failWith(call, InferError.from(thrown));
        }
      };
      call.onEnd = () => stream.emit('end');
      call.onDrain = () => call.resume();
    },
  };
}

/** The part of grpc-js's stream that the library uses. */
class ReflectionStream extends EventEmitter {
  readonly #call: StreamingCall;
  readonly #codec: Codec<object, object>;

  constructor(call: StreamingCall, codec: Codec<object, object>) {
    super();
    this.#call = call;
    this.#codec = codec;
  }

  write(response: object): void {
    if (!this.#call.write([this.#codec.encode(response)])) this.#call.pause();
  }

  end(): void {
    this.#call.end();
  }
}
