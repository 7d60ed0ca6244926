/** The head of a call as it crosses to the owner: everything that its handler may ask before the message. */

import type { Peer } from '../../../http2/peer.ts';
import type { CallHead } from '../grpc/call-head.ts';
import type { Http2Call } from '../grpc/http2-call.ts';
import { metadataBlock } from './call-record.ts';
import type { ParcelReader, ParcelWriter } from './parcel.ts';

export interface CallOpening {
  readonly id: number;
  /** Its method, by the order of the routes. */
  readonly route: number;
  /** On the owner's clock. */
  readonly deadline: number;
  readonly namesDeadline: boolean;
  readonly wayBackMs: number;
  /** See `metadataOf`. */
  readonly metadata: Buffer;
  /** A `Peer` in JSON. */
  readonly peer: Buffer;
}

/** Encoded heads, for as long as their connections share them. */
const blocks = new WeakMap<CallHead, Buffer>();
const peers = new WeakMap<Peer, Buffer>();

/** @param clockShiftMs from the clock of this thread to the owner's */
export function writeOpening(
  to: ParcelWriter,
  call: Http2Call,
  { id, route, clockShiftMs }: { readonly id: number; readonly route: number; readonly clockShiftMs: number },
): void {
  to.uint32(id);
  to.uint32(route);
  to.double(call.deadline + clockShiftMs);
  to.byte(call.namesDeadline ? 1 : 0);
  to.double(call.wayBackMs);
  to.bytes(blockOf(call.head));
  to.bytes(peerBlock(call.peer));
}

export function readOpening(from: ParcelReader): CallOpening {
  return {
    id: from.uint32(),
    route: from.uint32(),
    deadline: from.double(),
    namesDeadline: from.byte() === 1,
    wayBackMs: from.double(),
    metadata: from.bytes(),
    peer: from.bytes(),
  };
}

function blockOf(head: CallHead): Buffer {
  let block = blocks.get(head);
  if (block === undefined) {
    block = metadataBlock(head.keys(), (key) => head.get(key));
    blocks.set(head, block);
  }
  return block;
}

function peerBlock(peer: Peer): Buffer {
  let block = peers.get(peer);
  if (block === undefined) {
    block = Buffer.from(JSON.stringify(peer));
    peers.set(peer, block);
  }
  return block;
}
