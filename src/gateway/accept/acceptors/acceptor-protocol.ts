/** The start of an acceptor, and the messages between it and its owner besides parcels of records. */

import type { Http2Limits } from '../../../http2/limits.ts';
import type { TlsFiles } from '../../../http2/tls-identity.ts';
import type { AcceptorGauges, TransportGauges } from '../../ops/gateway-state.ts';
import type { TransportOptions } from '../call.ts';
import type { Parcel } from './parcel.ts';
import type { RouteDescription } from './route-description.ts';

/** Everything can be cloned: it goes to another thread. */
export interface AcceptorSpec {
  /** Its number among the acceptors, from 0. */
  readonly acceptor: number;
  readonly options: TransportOptions;
  /** The share of this acceptor, where a limit is divided. */
  readonly limits: Http2Limits;
  readonly tls: TlsFiles | undefined;
  readonly tlsReloadMs: number | undefined;
  readonly routes: readonly RouteDescription[];
  /** Where the tensors of large inference requests land; `undefined`: they stay in memory. */
  readonly landingDirectory: string | undefined;
  /** `clockOrigin` of the owner. */
  readonly clockOrigin: number;
  /** See `SharedConnectionGroup`. */
  readonly connections: { readonly memory: SharedArrayBuffer; readonly seed: number };
  readonly cells: SharedArrayBuffer;
}

export type ToAcceptor = Parcel | { readonly kind: 'drain'; readonly graceMs: number };

export type FromAcceptor =
  | Parcel
  | { readonly kind: 'listening'; readonly port: number }
  /** It cannot serve. */
  | { readonly kind: 'refused'; readonly text: string }
  | {
      readonly kind: 'notice';
      readonly level: 'info' | 'warn' | 'error';
      readonly text: string;
      readonly cause: string | undefined;
    }
  | { readonly kind: 'limit'; readonly limit: string }
  | { readonly kind: 'drained' };

export function isParcel(message: ToAcceptor | FromAcceptor): message is Parcel {
  return Array.isArray(message);
}

/** Moment 0 of `performance.now()` in this thread, on a clock that all threads share. In milliseconds. */
export function clockOrigin(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now();
}

/** Gauges of the transport of one acceptor, and of its thread. */
export type ThreadGauges = Omit<TransportGauges, 'acceptors'> & AcceptorGauges;

const GAUGES = ['connections', 'streams', 'incomingBytes', 'unreadBytes', 'activeMs'] as const;
const GAUGES_AT = 8;

/** Numbers that one thread writes and the other one reads at any time. */
export class AcceptorCells {
  readonly #taken: Int32Array;
  readonly #gauges: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#taken = new Int32Array(memory, 0, 1);
    this.#gauges = new Float64Array(memory, GAUGES_AT, GAUGES.length);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(GAUGES_AT + GAUGES.length * Float64Array.BYTES_PER_ELEMENT);
  }

  /** Parcels that the owner has taken, modulo 2^32. */
  get taken(): number {
    return Atomics.load(this.#taken, 0) >>> 0;
  }

  /** The owner has taken one more. */
  take(): void {
    Atomics.add(this.#taken, 0, 1);
  }

  get gauges(): ThreadGauges {
    const [connections = 0, streams = 0, incomingBytes = 0, unreadBytes = 0, activeMs = 0] = this.#gauges;
    return { connections, streams, incomingBytes, unreadBytes, activeMs };
  }

  set gauges(gauges: ThreadGauges) {
    for (const [at, name] of GAUGES.entries()) this.#gauges[at] = gauges[name];
  }
}
