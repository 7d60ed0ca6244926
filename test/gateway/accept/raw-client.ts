import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata as GrpcMetadata,
  type Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';

export interface UnaryOutcome {
  /** The name of the status, such as `OK`. */
  readonly status: string;
  readonly text: string;
  readonly message: Buffer | undefined;
  readonly trailers: Metadata;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string | Buffer>>;
  readonly signal?: AbortSignal;
}

const identity = (bytes: Buffer): Buffer => bytes;

/** A stock client whose messages are bytes. */
export class RawClient {
  readonly #client: Client;

  /** @param target a port of this machine, or any target of gRPC. */
  constructor(target: number | string, options: Readonly<Record<string, string | number>> = {}) {
    this.#client = new Client(
      typeof target === 'string' ? target : `127.0.0.1:${target}`,
      credentials.createInsecure(),
      {
        'grpc.max_receive_message_length': -1,
        'grpc.max_send_message_length': -1,
        'grpc.use_local_subchannel_pool': 1,
        'grpc.enable_retries': 0,
        ...options,
      },
    );
  }

  unary(path: string, message: Uint8Array, options: CallOptions = {}): Promise<UnaryOutcome> {
    return new Promise((resolve) => {
      let trailers = new GrpcMetadata();
      let answer: Buffer | undefined;
      const call = this.#client.makeUnaryRequest(
        path,
        identity,
        identity,
        Buffer.from(message),
        metadataOf(options),
        deadlineOf(options),
        (error: ServiceError | null, value?: Buffer) => {
          answer = value;
          if (error !== null) trailers = error.metadata;
        },
      );
      call.on('status', (end) => {
        trailers = end.metadata;
        resolve({ status: status[end.code], text: end.details, message: answer, trailers });
      });
      options.signal?.addEventListener('abort', () => call.cancel());
    });
  }

  stream(path: string, options: CallOptions = {}): ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest(path, identity, identity, metadataOf(options), deadlineOf(options));
  }

  close(): void {
    this.#client.close();
  }
}

/** Reads a stream to its end. */
export function collect(
  stream: ClientDuplexStream<Buffer, Buffer>,
): Promise<{ readonly status: string; readonly text: string; readonly messages: Buffer[] }> {
  return new Promise((resolve) => {
    const messages: Buffer[] = [];
    stream.on('data', (message: Buffer) => messages.push(message));
    stream.on('error', () => undefined);
    stream.on('status', (end) => resolve({ status: status[end.code] ?? '', text: end.details, messages }));
  });
}

function metadataOf({ metadata = {} }: CallOptions): Metadata {
  const made = new GrpcMetadata();
  for (const [name, value] of Object.entries(metadata)) made.set(name, value);
  return made;
}

function deadlineOf({ timeoutMs }: CallOptions): { deadline?: number } {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}
