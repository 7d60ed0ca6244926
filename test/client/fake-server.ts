import { fileURLToPath } from 'node:url';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** A message as proto-loader, a codec that is not ours, reads and writes it. */
// biome-ignore lint/suspicious/noExplicitAny: proto-loader knows no types
export type Message = Record<string, any>;

export type UnaryHandler = (call: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>) => void;

export const SERVICE = loadSync(fileURLToPath(new URL('../../proto/inference.proto', import.meta.url)), {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
})['inference.GRPCInferenceService'] as ServiceDefinition;

/** A server on a free port, with only these methods of the protocol. */
export async function startFakeServer(
  methods: UntypedServiceImplementation,
): Promise<{ server: Server; target: string }> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(SERVICE, methods);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { server, target: `127.0.0.1:${port}` };
}

/** Answers with the inputs as outputs, in raw form. */
export function toEcho({ model_name, model_version, id, inputs, raw_input_contents }: Message): Message {
  return {
    model_name,
    model_version: model_version || '1',
    id,
    outputs: inputs.map(({ name, datatype, shape }: Message) => ({ name, datatype, shape })),
    raw_output_contents: raw_input_contents,
  };
}

export const answer =
  (message: Message): UnaryHandler =>
  (_call, reply) =>
    reply(null, message);
