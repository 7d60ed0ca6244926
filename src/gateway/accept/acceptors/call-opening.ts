/**
 * The head of a call as it crosses to the owner: everything that its handler may ask before the message.
 *
 * Calls of one connection often share their head, byte for byte. One that comes again is sent once, with a number by which later
 * calls name it.
 */

import type { Peer } from '../../../http2/peer.ts';
import type { CallHead } from '../grpc/call-head.ts';
import type { Http2Call } from '../grpc/http2-call.ts';
import { metadataBlock, metadataOf } from './call-record.ts';
import type { ParcelReader, ParcelWriter } from './parcel.ts';

export interface CallOpening {
  readonly id: number;
  /** Its method, by the order of the routes. */
  readonly route: number;
  /** On the owner's clock. */
  readonly deadline: number;
  readonly namesDeadline: boolean;
  readonly wayBackMs: number;
  readonly head: RemoteHead;
}

/** Heads that are known by a number at the same time. */
const NUMBERED_HEADS = 256;

/** The number of a head that came once. */
const UNNUMBERED = -1;

const HeadForm = {
  /** It was not seen before, and gets no number. */
  ONCE: 0,
  /** It has this number from now on. */
  NUMBERED: 1,
  /** It is the last one that got this number. */
  KNOWN: 2,
} as const;

/** The metadata of a call, and who sent it. */
export class RemoteHead {
  readonly #block: Buffer;
  readonly #peer: Buffer;
  #metadata: ReadonlyMap<string, string> | undefined;

  /**
   * @param block see `metadataOf`
   * @param peer a `Peer` in JSON
   */
  constructor(block: Buffer, peer: Buffer) {
    this.#block = block;
    this.#peer = peer;
  }

  /** The first value of each key. */
  get metadata(): ReadonlyMap<string, string> {
    this.#metadata ??= metadataOf(this.#block);
    return this.#metadata;
  }

  get peer(): Peer {
    return JSON.parse(this.#peer.toString());
  }
}

/** The parts of a call in its acceptor that cross to the owner. */
type ForwardableCall = Pick<Http2Call, 'deadline' | 'namesDeadline' | 'wayBackMs' | 'head' | 'peer'>;

/** Encoded peers, for as long as their connections live. */
const peers = new WeakMap<Peer, Buffer>();

/** Writes the openings of all calls of one line. */
export class OpeningWriter {
  /** From the clock of this thread to the owner's, in milliseconds. */
  readonly #clockShiftMs: number;
  /** The number of each head that came. */
  readonly #numbers = new WeakMap<CallHead, number>();
  readonly #numbered: CallHead[] = [];
  #next = 0;

  constructor(clockShiftMs: number) {
    this.#clockShiftMs = clockShiftMs;
  }

  write(to: ParcelWriter, call: ForwardableCall, id: number, route: number): void {
    to.uint32(id);
    to.uint32(route);
    to.double(call.deadline + this.#clockShiftMs);
    to.byte(call.namesDeadline ? 1 : 0);
    to.double(call.wayBackMs);
    this.#writeHead(to, call);
  }

  #writeHead(to: ParcelWriter, { head, peer }: ForwardableCall): void {
    const number = this.#numbers.get(head);
    if (number === undefined) {
      this.#numbers.set(head, UNNUMBERED);
      to.byte(HeadForm.ONCE);
    } else if (this.#numbered[number] === head) {
      to.byte(HeadForm.KNOWN);
      to.uint32(number);
      return;
    } else {
      to.byte(HeadForm.NUMBERED);
      to.uint32(this.#number(head));
    }
    to.bytes(metadataBlock(head.keys(), (key) => head.get(key)));
    to.bytes(encodedPeer(peer));
  }

  /** Takes the number from the head that has had it longest. */
  #number(head: CallHead): number {
    const number = this.#next;
    this.#next = (number + 1) % NUMBERED_HEADS;
    this.#numbered[number] = head;
    this.#numbers.set(head, number);
    return number;
  }
}

/** Reads what the writer of the other end has written. */
export class OpeningReader {
  readonly #numbered: RemoteHead[] = [];

  read(from: ParcelReader): CallOpening {
    return {
      id: from.uint32(),
      route: from.uint32(),
      deadline: from.double(),
      namesDeadline: from.byte() === 1,
      wayBackMs: from.double(),
      head: this.#readHead(from),
    };
  }

  #readHead(from: ParcelReader): RemoteHead {
    const form = from.byte();
    const number = form === HeadForm.ONCE ? undefined : from.uint32();
    if (form === HeadForm.KNOWN) {
      const known = this.#numbered[number ?? UNNUMBERED];
      if (known === undefined) throw new TypeError(`a head of number ${number}`);
      return known;
    }
    // The head outlives the parcel.
    const head = new RemoteHead(Buffer.from(from.bytes()), Buffer.from(from.bytes()));
    if (number !== undefined) this.#numbered[number] = head;
    return head;
  }
}

function encodedPeer(peer: Peer): Buffer {
  const known = peers.get(peer);
  if (known !== undefined) return known;
  const encoded = Buffer.from(JSON.stringify(peer));
  peers.set(peer, encoded);
  return encoded;
}
