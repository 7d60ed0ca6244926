import { status } from '@grpc/grpc-js';
import { CallPath, type PathOptions } from './call-path.ts';
import type {
  CallOptions,
  ClientOptions,
  LoadOptions,
  ModelCallOptions,
  ReadyOptions,
  UnloadOptions,
} from './client-options.ts';
import { type HealthStatus, watchMethod } from './health-service.ts';
import { InferenceError } from './inference-error.ts';
import {
  findMethod,
  type InferenceService,
  type LoadParameters,
  type ModelConfig,
  type ModelIndexEntry,
  type ModelMetadata,
  type ModelStatistics,
  type ServerMetadata,
} from './inference-service.ts';
import { pause } from './pause.ts';
import { openReadStream } from './read-stream.ts';

/** Waits between two questions of `waitUntilReady`, in milliseconds: each is twice the one before. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** Longest that one of them waits for its answer. */
const QUESTION_MS = 5_000;

/** The calls of the Open Inference Protocol besides inference, and the life of the client. */
export class ProtocolClient {
  protected readonly calls: CallPath;

  /**
   * Nothing connects before the first call.
   * @param address `host:port`, `grpc://host:port`, `grpcs://host:port` for TLS, or any other name that gRPC resolves. Of several
   *   addresses each call takes one that is connected and healthy (`grpc.health.v1.Health`), with the fewest calls under way.
   * @throws TypeError where an address or a PEM file cannot be used
   * @throws RangeError where an option of `retry` is out of range
   */
  constructor(address: string | readonly string[], options: ClientOptions = {}) {
    this.calls = new CallPath(address, options);
  }

  /** Whether a connection is open now: after an UNAVAILABLE, it separates an unreachable server from a busy one. */
  get connected(): boolean {
    return this.calls.connected;
  }

  /** Whether the server answers at all. */
  async serverLive(options: CallOptions = {}): Promise<boolean> {
    return (await this.call('ServerLive', {}, options)).live;
  }

  /** Whether all models that the server should have are ready. */
  async serverReady(options: CallOptions = {}): Promise<boolean> {
    return (await this.call('ServerReady', {}, options)).ready;
  }

  serverMetadata(options: CallOptions = {}): Promise<ServerMetadata> {
    return this.call('ServerMetadata', {}, options);
  }

  async modelReady(model: string, options: ModelCallOptions = {}): Promise<boolean> {
    return (await this.call('ModelReady', toModelRequest(model, options), { ...options, model })).ready;
  }

  /** Whether the server, or a model of it, takes requests now. A server that cannot be reached is not ready. */
  async ready({ model, ...options }: ReadyOptions = {}): Promise<boolean> {
    try {
      return await (model === undefined ? this.serverReady(options) : this.modelReady(model, options));
    } catch (error) {
      if (error instanceof InferenceError && NOT_YET.has(error.code)) return false;
      throw error;
    }
  }

  /**
   * Resolves when the server, or a model of it, is ready: asks again until then. `deadlineMs` limits the whole wait; the client's own
   * deadline does not apply.
   * @throws InferenceError DEADLINE_EXCEEDED or CANCELLED where the wait ends before
   */
  async waitUntilReady(options: ReadyOptions = {}): Promise<void> {
    const { model, deadlineMs = Number.POSITIVE_INFINITY, signal } = options;
    const end = performance.now() + deadlineMs;
    for (let waitMs = FIRST_PAUSE_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_PAUSE_MS)) {
      const leftMs = end - performance.now();
      if (leftMs <= 0) {
        throw new InferenceError(status.DEADLINE_EXCEEDED, `not ready after ${deadlineMs} ms`, { model });
      }
      if (await this.ready({ ...options, deadlineMs: Math.min(leftMs, QUESTION_MS) })) return;
      await pause(Math.min(waitMs, Math.max(0, end - performance.now())), signal);
    }
  }

  /**
   * Yields the health of the server, or of a model, at once and after each change (`grpc.health.v1.Health`). Ending the iteration ends
   * the watch.
   */
  async *watchHealth(model = '', options: CallOptions = {}): AsyncGenerator<HealthStatus, void, undefined> {
    const { path, requestSerialize, responseDeserialize } = watchMethod();
    const answers = openReadStream(this.calls, path, { ...options, model }, ({ grpc, metadata }, terms) =>
      grpc.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service: model }, metadata, terms),
    );
    for await (const answer of answers) yield answer.status;
  }

  /** The inputs and outputs of a model. */
  modelMetadata(model: string, options: ModelCallOptions = {}): Promise<ModelMetadata> {
    return this.call('ModelMetadata', toModelRequest(model, options), { ...options, model });
  }

  /** How a model is served. */
  async modelConfig(model: string, options: ModelCallOptions = {}): Promise<ModelConfig> {
    return (await this.call('ModelConfig', toModelRequest(model, options), { ...options, model })).config;
  }

  /** Statistics of one model, or with `''` of all: of the version asked for, or of every version that is ready. */
  async modelStatistics(model: string, options: ModelCallOptions = {}): Promise<readonly ModelStatistics[]> {
    return (await this.call('ModelStatistics', toModelRequest(model, options), { ...options, model })).modelStats;
  }

  /** Every version of every model that the server knows, with what it does and why; on its admin port where it has one. */
  async repositoryIndex(options: CallOptions = {}): Promise<readonly ModelIndexEntry[]> {
    return (await this.call('RepositoryIndex', {}, options)).models;
  }

  /**
   * Loads a model, or loads it again from the repository. Resolves when it answers. On the admin port of a server that has one.
   * @param config a `ModelConfig` as JSON, in place of the file in the repository
   */
  async loadModel(model: string, { config, ...options }: LoadOptions = {}): Promise<void> {
    const parameters: LoadParameters = config === undefined ? {} : { config: { stringParam: config } };
    await this.call(
      'RepositoryModelLoad',
      { modelName: model, parameters },
      { ...options, model, isRepeatable: false },
    );
  }

  /**
   * Unloads a model: it takes no new requests and answers those that it accepted. Does not wait for them.
   * @param dependents also the models of an ensemble's steps that no other ensemble needs
   */
  async unloadModel(model: string, { dependents, ...options }: UnloadOptions = {}): Promise<void> {
    const parameters: LoadParameters = dependents === true ? { unload_dependents: { boolParam: true } } : {};
    const terms = { ...options, model, isRepeatable: false };
    await this.call('RepositoryModelUnload', { modelName: model, parameters }, terms);
  }

  /** Closes the connections when the calls under way have ended. */
  close(): void {
    this.calls.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Waits for the calls under way, then closes the connections. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.calls.finish();
  }

  protected async call<Name extends keyof InferenceService>(
    name: Name,
    request: InferenceService[Name]['request'],
    options: PathOptions,
  ): Promise<InferenceService[Name]['response']> {
    return (await this.calls.unary(findMethod(name), request, options)).response;
  }
}

/** Statuses of a server or model that may be ready later. */
const NOT_YET: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.NOT_FOUND, status.DEADLINE_EXCEEDED]);

function toModelRequest(name: string, { version = '' }: ModelCallOptions): { name: string; version: string } {
  return { name, version };
}
