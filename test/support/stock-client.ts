/**
 * A gRPC client as another team would generate it from `proto/`: messages are encoded and decoded by proto-loader, and none
 * of our own code stands between it and the wire.
 */

import { fileURLToPath } from 'node:url';
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';

/** A message with the field names of the `.proto` file. 64-bit integers are decimal texts, enums names. */
// biome-ignore lint/suspicious/noExplicitAny: proto-loader knows no types
export type Message = Record<string, any>;

type Rpc = MethodDefinition<Message, Message>;

const FILES = [
  'inference.proto',
  'health.proto',
  'tensorgate.proto',
  'orca.proto',
  'grpc/reflection/v1/reflection.proto',
  'grpc/reflection/v1alpha/reflection.proto',
];
const FOLDERS = ['../../proto', '../../node_modules/@grpc/reflection/build/proto'];
const DEFINITION: PackageDefinition = loadSync(FILES, {
  includeDirs: FOLDERS.map((folder) => fileURLToPath(new URL(folder, import.meta.url))),
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});

export const INFERENCE = 'inference.GRPCInferenceService';
export const HEALTH = 'grpc.health.v1.Health';
export const TRAFFIC = 'tensorgate.v1.Traffic';

/** How a call ended that was not answered with OK. */
export interface Refusal {
  /** Such as `NOT_FOUND`. */
  readonly code: string;
  readonly text: string;
}

export class StockClient implements Disposable {
  readonly #grpc: Client;

  /** @param target `host:port`. */
  constructor(target: string, channel: ChannelCredentials = credentials.createInsecure()) {
    this.#grpc = new Client(target, channel, { 'grpc.max_receive_message_length': -1 });
  }

  /** A unary call. @param service by default the inference protocol's. @throws ServiceError */
  async call(rpc: string, request: Message = {}, service: string = INFERENCE): Promise<Message> {
    const { path, requestSerialize, responseDeserialize } = method(service, rpc);
    return responseDeserialize(await this.bytes(path, requestSerialize(request)));
  }

  infer(request: Message): Promise<Message> {
    return this.call('ModelInfer', request);
  }

  /** The status of a call that has to fail. @throws Error where it does not. */
  async refusal(rpc: string, request: Message = {}, service: string = INFERENCE): Promise<Refusal> {
    return refusalOf(this.call(rpc, request, service));
  }

  /** A unary call of a message that is sent as it is, well-formed or not. @throws ServiceError */
  bytes(path: string, message: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#grpc.makeUnaryRequest(
        path,
        (sent: Uint8Array) => Buffer.from(sent),
        (received: Buffer) => received,
        message,
        (error, received) => {
          if (error !== null) reject(error);
          else if (received !== undefined) resolve(received);
        },
      );
    });
  }

  /** Opens a call on which the server answers with any number of messages. */
  open(rpc: string, service: string = INFERENCE): MessageStream {
    const { path, requestSerialize, responseDeserialize } = method(service, rpc);
    return new MessageStream(this.#grpc.makeBidiStreamRequest(path, requestSerialize, responseDeserialize));
  }

  [Symbol.dispose](): void {
    this.#grpc.close();
  }
}

/** An open call: `send`, `next`, `halfClose`, in whatever order. */
export class MessageStream {
  readonly #call: ClientDuplexStream<Message, Message>;
  readonly #messages: AsyncIterator<Message>;
  readonly ended: Promise<string>;

  constructor(call: ClientDuplexStream<Message, Message>) {
    this.#call = call;
    // The status says how it ended.
    call.on('error', () => {});
    this.ended = new Promise((resolve) => call.once('status', ({ code }) => resolve(status[code] ?? String(code))));
    this.#messages = call[Symbol.asyncIterator]();
  }

  send(message: Message): void {
    this.#call.write(message);
  }

  halfClose(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }

  /** The next message; `undefined` after the last one. */
  async next(): Promise<Message | undefined> {
    const { done, value } = await this.#messages.next();
    return done === true ? undefined : value;
  }

  /** All messages that are still to come. */
  async rest(): Promise<Message[]> {
    const messages: Message[] = [];
    for (let message = await this.next(); message !== undefined; message = await this.next()) messages.push(message);
    return messages;
  }
}

/** The path of an RPC, and its codec. */
export function method(service: string, rpc: string): Rpc {
  const found = (DEFINITION[service] as Record<string, Rpc> | undefined)?.[rpc];
  if (found === undefined) throw new TypeError(`proto/ has no ${service}/${rpc}`);
  return found;
}

/** The names of all services that a server offers. */
export const SERVICES: readonly string[] = Object.keys(DEFINITION).filter(
  (name) => !('format' in (DEFINITION[name] ?? {})),
);

/** The names of all RPCs of a service. */
export function rpcsOf(service: string): readonly string[] {
  return Object.keys(DEFINITION[service] ?? {});
}

export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    const { code, details } = error as ServiceError;
    return { code: status[code] ?? String(code), text: details };
  }
  throw new Error('the call was answered');
}
