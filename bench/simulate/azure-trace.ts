/** The Azure LLM inference traces of 2023: when real users asked, and how long their prompts were (see `traces/README.md`). */

import fs from 'node:fs';
import path from 'node:path';
import { seeded } from './random.ts';

export type AzureTrace = 'azure-code' | 'azure-conversation';

interface Trace {
  readonly arrivalsMs: Float64Array;
  readonly tokens: Uint16Array;
}

const FILES: Readonly<Record<AzureTrace, string>> = {
  'azure-code': 'azure-llm-2023-code.txt',
  'azure-conversation': 'azure-llm-2023-conversation.txt',
};

const read = new Map<AzureTrace, Trace>();

function traceOf(kind: AzureTrace): Trace {
  const known = read.get(kind);
  if (known !== undefined) return known;
  const text = fs.readFileSync(path.join(import.meta.dirname, 'traces', FILES[kind]), 'utf8');
  const lines = text.trimEnd().split('\n');
  const trace = { arrivalsMs: new Float64Array(lines.length), tokens: new Uint16Array(lines.length) };
  let now = 0;
  for (const [index, line] of lines.entries()) {
    const [gap, tokens] = line.split(' ');
    now += Number(gap);
    trace.arrivalsMs[index] = now;
    trace.tokens[index] = Number(tokens);
  }
  read.set(kind, trace);
  return trace;
}

/** `count` consecutive arrivals from a random place, compressed in time so that their mean rate is `ratePerMs`. */
export function azureArrivals(kind: AzureTrace, ratePerMs: number, count: number, seed: number): Float64Array {
  const { arrivalsMs } = traceOf(kind);
  if (count >= arrivalsMs.length) {
    throw new RangeError(`the trace ${kind} has ${arrivalsMs.length} arrivals, which is not more than ${count}`);
  }
  const offset = Math.floor(seeded(seed)() * (arrivalsMs.length - count - 1));
  const start = arrivalsMs[offset] ?? 0;
  const span = (arrivalsMs[offset + count] ?? 0) - start;
  const factor = count / ratePerMs / span;
  return arrivalsMs.subarray(offset, offset + count).map((time) => (time - start) * factor);
}

/** Prompt lengths, in tokens, in the order of arrival. */
export function azureTokens(kind: AzureTrace): Uint16Array {
  return traceOf(kind).tokens;
}
