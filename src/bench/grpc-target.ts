import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { NO_PARAMETERS } from '../wire/infer-parameter.ts';
import { encodeInferRequest } from '../wire/infer-request.ts';
import type { CallOutcome, CallTarget, NamedTensor, PreparedCall, TargetAddress, TargetModel } from './call-target.ts';

const MODEL_INFER = '/inference.GRPCInferenceService/ModelInfer';
/** A server allows some hundred streams on a connection; more wait in the client. */
const CONNECTIONS = 4;

const asIs = (bytes: Buffer): Buffer => bytes;

/** ModelInfer over gRPC. Answers are received whole, and not decoded. */
export class GrpcTarget implements CallTarget {
  readonly #model: TargetModel;
  readonly #metadata: Metadata;
  readonly #clients: readonly Client[];
  #calls = 0;

  constructor({ target, tls, headers }: TargetAddress, model: TargetModel) {
    this.#model = model;
    this.#metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) {
      this.#metadata.set(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
    }
    const channel =
      tls === undefined
        ? credentials.createInsecure()
        : credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null);
    this.#clients = Array.from(
      { length: CONNECTIONS },
      (_, index) =>
        new Client(target, channel, {
          'grpc.max_receive_message_length': -1,
          'grpc.max_send_message_length': -1,
          // A call that is tried again would count as one slow call.
          'grpc.enable_retries': 0,
          'grpc.use_local_subchannel_pool': 1,
          'grpc-node.flow_control_window': 4 << 20,
          // Channels with equal options would share a connection.
          'grpc.primary_user_agent': `tensorgate-bench-${index}`,
        }),
    );
  }

  prepare(inputs: readonly NamedTensor[]): PreparedCall {
    const message = Buffer.concat(
      encodeInferRequest({
        modelName: this.#model.name,
        modelVersion: this.#model.version,
        id: '',
        parameters: NO_PARAMETERS,
        inputs: inputs.map(({ name, datatype, shape }) => ({
          name,
          datatype,
          shape,
          parameters: NO_PARAMETERS,
          contents: undefined,
        })),
        outputs: [],
        rawInputContents: inputs.map(({ data }) => data),
      }),
    );
    return this.prepareMessage(message);
  }

  /** @param message an encoded ModelInferRequest */
  prepareMessage(message: Buffer): PreparedCall {
    return (deadlineMs) => this.#call(message, deadlineMs);
  }

  #call(message: Buffer, deadlineMs: number): Promise<CallOutcome> {
    const client = this.#clients[this.#calls++ % CONNECTIONS];
    const options = { deadline: Date.now() + deadlineMs };
    return new Promise((resolve) => {
      client?.makeUnaryRequest(MODEL_INFER, asIs, asIs, message, this.#metadata.clone(), options, (error) => {
        if (error === null) resolve({ status: 'OK', details: '' });
        else resolve({ status: status[error.code] ?? `code ${error.code}`, details: error.details });
      });
    });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}
