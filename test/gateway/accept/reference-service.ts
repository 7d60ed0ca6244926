import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { PROTO_DIRECTORY } from '../../../src/protocol-files.ts';
import { type CallOptions, collect, type RawClient } from './raw-client.ts';

/** A service as a client in another language would read it from `proto/`. */
export function loadService(file: string, service: string): ServiceDefinition {
  return loadSync(file, {
    includeDirs: [PROTO_DIRECTORY],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  })[service] as ServiceDefinition;
}

type Message = Readonly<Record<string, unknown>>;

export interface Outcome {
  readonly status: string;
  readonly text: string;
  readonly message: Message | undefined;
}

/** Calls the unary and streaming RPCs of a service by name. */
export class ReferenceClient {
  readonly #client: RawClient;
  readonly #service: ServiceDefinition;

  constructor(client: RawClient, service: ServiceDefinition) {
    this.#client = client;
    this.#service = service;
  }

  async call(rpc: string, request: Message = {}, options: CallOptions = {}): Promise<Outcome> {
    const method = this.#method(rpc);
    const { status, text, message } = await this.#client.unary(method.path, method.requestSerialize(request), options);
    return {
      status,
      text,
      message: message === undefined ? undefined : (method.responseDeserialize(message) as Message),
    };
  }

  /** Sends the requests at once, and reads to the end. */
  async stream(
    rpc: string,
    requests: readonly Message[],
  ): Promise<{ readonly status: string; readonly text: string; readonly messages: Message[] }> {
    const method = this.#method(rpc);
    const stream = this.#client.stream(method.path);
    for (const request of requests) stream.write(method.requestSerialize(request));
    stream.end();
    const { status, text, messages } = await collect(stream);
    return { status, text, messages: messages.map((message) => method.responseDeserialize(message) as Message) };
  }

  #method(rpc: string): ServiceDefinition[string] {
    const method = this.#service[rpc];
    if (method === undefined) throw new TypeError(`no RPC ${rpc}`);
    return method;
  }
}
