/**
 * Run as `node --expose-gc --min-semi-space-size=64 --max-semi-space-size=128 measure-growth.ts <bytes>`: decodes each
 * hostile message of about so many bytes once and prints, as JSON, how much memory that took.
 *
 * Growth is what the heap and the memory outside it (array buffers among it) gained from before the call to after it. The
 * young generation is larger than any allowed growth, and collections in between are counted, so what the decoder drops
 * at once is in the sum too.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';

import { WireError } from '../../src/wire/limits.ts';
import { HOSTILE_MESSAGES } from './hostile-messages.ts';
import { decodeReference } from './reference-messages.ts';

export interface Growth {
  readonly name: string;
  readonly bytes: number;
  readonly grown: number;
  readonly collections: number;
  readonly outcome: string;
}

/** When each garbage collection began, on the clock of `performance`. */
const collectionTimes: number[] = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) collectionTimes.push(entry.startTime);
}).observe({ entryTypes: ['gc'] });

function memory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Collects until nothing is left to collect, twice over: array buffers are freed on another thread, some time after. */
async function settle(): Promise<void> {
  for (let quiet = 0, before = memory(); quiet < 2; ) {
    globalThis.gc?.();
    await setTimeout(5);
    const after = memory();
    quiet = before - after > 1024 ? 0 : quiet + 1;
    before = after;
  }
}

function outcomeOf(decode: () => unknown): { outcome: string; kept: unknown } {
  try {
    return { outcome: 'accepted', kept: decode() };
  } catch (error) {
    return { outcome: error instanceof WireError ? error.kind : String(error), kept: error };
  }
}

async function measure(name: string, bytes: Uint8Array, decode: (bytes: Uint8Array) => unknown): Promise<Growth> {
  await settle();
  const start = performance.now();
  const before = memory();
  const { outcome, kept } = outcomeOf(() => decode(bytes));
  const grown = memory() - before;
  const end = performance.now();
  // Observers receive collections in a later turn.
  await setTimeout(5);
  const collections = collectionTimes.filter((time) => time >= start && time <= end).length;
  return { name, bytes: bytes.length, grown, collections, outcome: kept === undefined ? 'nothing' : outcome };
}

const size = Number(process.argv[2]);
// Compiled code and inline caches are paid for once, not per message.
for (const { make, decode } of HOSTILE_MESSAGES) outcomeOf(() => decode(make(10_000)));

const growths: Growth[] = [];
for (const { name, make, decode } of HOSTILE_MESSAGES) growths.push(await measure(name, make(size), decode));
// A decoder that builds what it is sent: the method must see it.
const inputs = Buffer.alloc(size, Buffer.from('2a00', 'hex'));
growths.push(await measure('protobufjs', inputs, (bytes) => decodeReference('ModelInferRequest', bytes)));
console.log(JSON.stringify(growths));
