/**
 * Huffman-coded strings (RFC 7541, section 5.2).
 *
 * The code of appendix B is canonical: codes of one length follow one another in the order of their symbols. So the 257
 * lengths are the whole code. Decoding walks its tree by four bits at a time, in a table made once.
 */

import { compressionError } from './error-code.ts';

/** The length in bits of the code of each symbol, 0 to 255 and then EOS: one digit of base 36 each. */
const LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu';
const MAX_LENGTH = 30;
const EOS = 256;

/** An inner node of the code's tree: by bit, a further node or a symbol. */
interface Node {
  readonly next: [Node | number | undefined, Node | number | undefined];
  readonly number: number;
}

/** By node and nibble: the next node in the low byte, a symbol in the byte above it, and whether there is one. */
const STEPS = new Int32Array(256 * 16);
const SYMBOL = 1 << 16;
const FAILURE = 1 << 17;
/** By node: whether a string may end there, which is after fewer than eight ones since the last symbol (section 5.2). */
const FINAL = new Uint8Array(256);

fillTables(growTree());

function growTree(): readonly Node[] {
  const nodes: Node[] = [];
  const grow = (): Node => {
    const node: Node = { next: [undefined, undefined], number: nodes.length };
    nodes.push(node);
    return node;
  };
  const root = grow();
  const place = (symbol: number, code: number, length: number): void => {
    let node = root;
    for (let bit = length - 1; bit > 0; bit--) {
      const side = ((code >>> bit) & 1) as 0 | 1;
      const next = node.next[side] ?? grow();
      node.next[side] = next;
      node = next as Node;
    }
    node.next[(code & 1) as 0 | 1] = symbol;
  };
  let code = 0;
  for (let length = 1; length <= MAX_LENGTH; length++) {
    code *= 2;
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (Number.parseInt(LENGTHS[symbol] ?? '', 36) === length) place(symbol, code++, length);
    }
  }
  return nodes;
}

function fillTables(nodes: readonly Node[]): void {
  const root = nodes[0] as Node;
  for (const node of nodes) {
    for (let nibble = 0; nibble < 16; nibble++) STEPS[node.number * 16 + nibble] = step(root, node, nibble);
  }
  let node: Node | number | undefined = root;
  for (let ones = 0; ones < 8 && typeof node === 'object'; ones++) {
    FINAL[node.number] = 1;
    node = node.next[1];
  }
}

/** No code is shorter than five bits: four bits end at most one. */
function step(root: Node, from: Node, nibble: number): number {
  let node = from;
  let found = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = node.next[((nibble >>> bit) & 1) as 0 | 1];
    if (typeof next === 'object') {
      node = next;
    } else {
      // Section 5.2: a string that holds EOS is an error.
      if (next === undefined || next === EOS) return FAILURE;
      found = SYMBOL | (next << 8);
      node = root;
    }
  }
  return found | node.number;
}

let scratch = Buffer.allocUnsafeSlow(1024);

/**
 * The string in `bytes[from, to)`, as Latin-1.
 * @throws ConnectionError COMPRESSION_ERROR
 */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string {
  const longest = Math.ceil(((to - from) * 8) / 5);
  if (scratch.length < longest) scratch = Buffer.allocUnsafeSlow(longest * 2);
  let node = 0;
  let length = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    const high = STEPS[node * 16 + (byte >>> 4)] ?? FAILURE;
    if (high & SYMBOL) scratch[length++] = high >>> 8;
    const low = STEPS[(high & 0xff) * 16 + (byte & 0xf)] ?? FAILURE;
    if (low & SYMBOL) scratch[length++] = low >>> 8;
    if ((high | low) & FAILURE) throw compressionError('EOS in a Huffman string');
    node = low & 0xff;
  }
  if (FINAL[node] === 0) throw compressionError('a Huffman string with wrong padding');
  return scratch.toString('latin1', 0, length);
}
