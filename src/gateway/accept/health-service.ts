/**
 * `grpc.health.v1.Health`. Ours rather than the library's, because models come and go: a name can be deleted, and List has
 * no limit of 100 names. A slow watcher gets only the newest status, and watchers do not hold up a drain.
 */

import { InferError, Status } from '../errors.ts';
import type { Method, Routes, StreamingCall } from './call.ts';
import { type Codec, loadCodecs, MAX_REQUEST_BYTES } from './definition.ts';
import { eachInSlices } from './each-in-slices.ts';
import { failWith } from './failure.ts';
import { unaryMethod } from './unary-method.ts';

/** Names of services and models are shorter: a longer one is unknown for ever, and is not kept. */
const MAX_NAME_LENGTH = 256;

export type ServingStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING';

interface HealthRequest {
  /** `''` is the server as a whole. */
  readonly service: string;
}

interface HealthResponse {
  readonly status: ServingStatus | 'SERVICE_UNKNOWN';
}

interface HealthRpcs {
  readonly Check: { readonly request: HealthRequest; readonly response: HealthResponse };
  readonly List: {
    readonly request: object;
    readonly response: { readonly statuses: Readonly<Record<string, HealthResponse>> };
  };
  readonly Watch: { readonly request: HealthRequest; readonly response: HealthResponse };
}

export class Health {
  readonly routes: Routes;
  readonly #statuses = new Map<string, ServingStatus>();
  /** By the name that they watch; `undefined` where it is too long to be any. */
  readonly #watchers = new Map<string | undefined, Set<Watcher>>();
  readonly #watchCodec: Codec<HealthRequest, HealthResponse>;

  constructor() {
    const { Check, List, Watch } = loadCodecs<HealthRpcs>('grpc.health.v1.Health');
    this.#watchCodec = Watch;
    this.routes = new Map<string, Method>([
      [Check.path, this.#check(Check)],
      [List.path, unaryMethod(List, () => this.#list())],
      [Watch.path, { kind: 'streaming', maxMessageBytes: MAX_REQUEST_BYTES, handle: (call) => this.#watch(call) }],
    ]);
  }

  set(name: string, status: ServingStatus): void {
    if (this.#statuses.get(name) === status) return;
    this.#statuses.set(name, status);
    this.#notifyWatchers(name);
  }

  /** The name becomes unknown: NOT_FOUND for Check, SERVICE_UNKNOWN for those who watch it. */
  delete(name: string): void {
    if (this.#statuses.delete(name)) this.#notifyWatchers(name);
  }

  /** Ends all watches, each with the status as it is now: to be called when the server drains, for they would never end. */
  endWatches(): void {
    const all = [...this.#watchers.values()].flatMap((watchers) => [...watchers]);
    this.#watchers.clear();
    eachInSlices(all, (watcher) => watcher.end());
  }

  #check(codec: Codec<HealthRequest, HealthResponse>): Method {
    return {
      kind: 'unary',
      maxMessageBytes: MAX_REQUEST_BYTES,
      handle: (call) => {
        try {
          const { service } = codec.decode(call.message);
          const status = this.#statuses.get(service);
          if (status === undefined) call.fail(Status.NOT_FOUND, `unknown service '${service}'`);
          else call.reply([codec.encode({ status })]);
        } catch (thrown) {
          failWith(call, InferError.from(thrown));
        }
      },
    };
  }

  #list(): HealthRpcs['List']['response'] {
    return { statuses: Object.fromEntries([...this.#statuses].map(([name, status]) => [name, { status }])) };
  }

  #watch(call: StreamingCall): void {
    let watched: { readonly name: string | undefined; readonly watcher: Watcher } | undefined;
    call.onMessage = (bytes) => {
      if (watched !== undefined) {
        failWith(call, new InferError('malformed_message', 'Watch takes one request'));
        return;
      }
      try {
        const { service } = this.#watchCodec.decode(bytes);
        const watcher = new Watcher(call, (status) => this.#watchCodec.encode({ status }));
        const name = service.length > MAX_NAME_LENGTH ? undefined : service;
        watched = { name, watcher };
        this.#watchersOf(name).add(watcher);
        watcher.show(this.#statusOf(name));
      } catch (thrown) {
        failWith(call, InferError.from(thrown));
      }
    };
    call.onEnd = () => {
      if (watched === undefined)
        failWith(call, new InferError('malformed_message', 'Watch takes one request, got none'));
    };
    call.onCancel = () => {
      if (watched !== undefined) this.#forget(watched.name, watched.watcher);
    };
  }

  #watchersOf(name: string | undefined): Set<Watcher> {
    const found = this.#watchers.get(name);
    if (found !== undefined) return found;
    const made = new Set<Watcher>();
    this.#watchers.set(name, made);
    return made;
  }

  #forget(name: string | undefined, watcher: Watcher): void {
    const watchers = this.#watchers.get(name);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#watchers.delete(name);
  }

  #notifyWatchers(name: string): void {
    eachInSlices(this.#watchers.get(name) ?? [], (watcher) => watcher.show(this.#statusOf(name)));
  }

  #statusOf(name: string | undefined): HealthResponse['status'] {
    return (name === undefined ? undefined : this.#statuses.get(name)) ?? 'SERVICE_UNKNOWN';
  }
}

/** One Watch call. While there is no room for a status, only the newest is kept. */
class Watcher {
  readonly #call: StreamingCall;
  readonly #encode: (status: HealthResponse['status']) => Uint8Array;
  #shown: HealthResponse['status'] | undefined;
  #current: HealthResponse['status'] | undefined;
  #blocked = false;

  constructor(call: StreamingCall, encode: (status: HealthResponse['status']) => Uint8Array) {
    this.#call = call;
    this.#encode = encode;
    call.onDrain = () => {
      this.#blocked = false;
      this.#flush();
    };
  }

  show(status: HealthResponse['status']): void {
    this.#current = status;
    if (!this.#blocked) this.#flush();
  }

  end(): void {
    this.#flush();
    this.#call.end();
  }

  #flush(): void {
    if (this.#current === undefined || this.#current === this.#shown) return;
    this.#shown = this.#current;
    this.#blocked = !this.#call.write([this.#encode(this.#current)]);
  }
}
