/** Requests that cannot all share batches: interleaved shapes, and texts of mixed lengths. */

import { edgeOf } from '../../../src/gateway/admit/length-grid.ts';
import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, mean, percent, type RunOptions } from '../case.ts';
import type { Chart } from '../chart.ts';
import { sendAll } from '../client.ts';
import { capacity, GPU_LIKE } from '../curves.ts';
import { SimulatedInstances } from '../instances.ts';
import { makeScheduler, tensorsOf, warmUpLengths } from '../model.ts';
import { seeded } from '../random.ts';
import { answerMs, fatesText, inTimeShare, type Outcome, sentIn, serve } from '../scenario.ts';
import { encoderMs, type TextKind, tokensOf } from '../text-lengths.ts';
import { VirtualClock } from '../virtual-clock.ts';

async function runShapes({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  const curve = GPU_LIKE;
  const counts = isShort ? [2, 8] : [1, 2, 4, 8, 16, 32];
  const lines = new Map<number, [number, number][]>((isShort ? [0.9] : [0.5, 0.9]).map((load) => [load, []]));
  for (const [index, count] of counts.entries()) {
    const requests = Array.from({ length: count }, (_, shape) => tensorsOf({ shape: `shape ${shape}`, rows: 1 }));
    for (const load of lines.keys()) {
      const rate = load * capacity(curve);
      const arrivals = poisson(rate, Math.ceil(rate * (isShort ? 2_000 : 4_000)), seeds[0] ?? 1);
      const random = seeded(8);
      const { replies, instances } = await serve({
        curve,
        arrivals,
        plan: () => ({ deadlineMs: curve.sloMs, tensors: requests[Math.floor(random() * count)] }),
      });
      const value = inTimeShare(replies, sentIn(500));
      measures.push({ name: `${count} shapes at ${load}x`, value, unit: 'share' });
      lines.get(load)?.push([index, value]);
      rows.push([String(count), `${load}x`, percent(value), instances.meanRows.toFixed(1), fatesText(replies)]);
    }
  }
  const columns = ['shapes', 'load', 'in time', 'mean rows', 'others'];
  const title = 'Interleaved shapes';
  const series = [...lines].map(([load, values]) => ({ name: `load ${load}`, values }));
  const chart: Chart = { title, x: 'shapes', y: 'share in time', kind: 'lines', series, labels: counts.map(String) };
  return { measures, tables: [{ title, columns, rows }], charts: [chart] };
}

const MAX_ROWS = 64;
const DEADLINE_MS = 500;
const SETTLE_MS = 8_000;
const LENGTHS_BAR = 0.75;

async function runLengths({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  const spanMs = SETTLE_MS + (isShort ? 15_000 : 30_000);
  for (const kind of (isShort
    ? ['mixed']
    : ['mixed', 'queries', 'passages', 'azure-code', 'azure-conversation']) as readonly TextKind[]) {
    for (const load of isShort ? [1.5, 2] : [1, 1.5, 2]) {
      for (const isPadded of isShort ? [true] : [true, false]) {
        const { replies, instances, padding } = await serveTexts(kind, load, spanMs, isPadded, seeds[0] ?? 1);
        const value = inTimeShare(replies, sentIn(SETTLE_MS));
        const name = `${kind} at ${load}x${isPadded ? '' : ', not padded'}`;
        const bar = isPadded && kind === 'mixed' && load === 1.5 ? { atLeast: LENGTHS_BAR } : undefined;
        const peers = isPadded ? { TEI: serveTei(kind, load, spanMs, seeds[0] ?? 1) } : {};
        measures.push({ name, value, unit: 'share', bar, peers });
        const p99 = `${answerMs(replies, 0.99, sentIn(SETTLE_MS)).toFixed(0)} ms`;
        rows.push([
          name,
          percent(value),
          instances.meanRows.toFixed(1),
          percent(padding),
          p99,
          fatesText(replies, sentIn(SETTLE_MS)),
        ]);
      }
    }
  }
  const columns = ['texts', 'in time', 'mean rows', 'padding', 'p99', 'others'];
  return { measures, tables: [{ title: 'Texts of mixed lengths', columns, rows }] };
}

async function serveTexts(
  kind: TextKind,
  load: number,
  spanMs: number,
  isPadded: boolean,
  seed: number,
): Promise<Outcome & { readonly padding: number }> {
  using clock = new VirtualClock();
  const { sample, arrivals } = textsOf(kind, load, spanMs, seed);
  let computed = 0;
  let real = 0;
  const instances = new SimulatedInstances(clock, {
    noise: 0.05,
    cost: ({ requests, rows }) => {
      const lengths = requests.map(({ tensors }) => tensors.size.length);
      const longest = Math.max(...lengths);
      computed += rows * longest;
      real += lengths.reduce((sum, length) => sum + length, 0);
      return encoderMs(rows, longest);
    },
  });
  const scheduler = makeScheduler({ maxRows: MAX_ROWS }, instances);
  warmUpLengths(scheduler, [16, 128], MAX_ROWS, encoderMs);
  const replies = sendAll(clock, scheduler, arrivals, (index) => {
    const length = sample[index % sample.length] ?? 1;
    return {
      deadlineMs: DEADLINE_MS,
      tensors: tensorsOf({ shape: String(isPadded ? edgeOf(length) : length), rows: 1, length }),
    };
  });
  await clock.run();
  return { replies, instances, padding: 1 - real / computed };
}

/** Text Embeddings Inference: first come, first served, so many tokens a batch, all padded to the longest. */
const TEI_BATCH_TOKENS = 16_384;

function serveTei(kind: TextKind, load: number, spanMs: number, seed: number): number {
  const { sample, arrivals } = textsOf(kind, load, spanMs, seed);
  const arrivalOf = (index: number): number => arrivals[index] ?? Number.POSITIVE_INFINITY;
  let now = 0;
  let inTime = 0;
  let counted = 0;
  for (let head = 0; head < arrivals.length; ) {
    now = Math.max(now, arrivalOf(head));
    let longest = 0;
    let end = head;
    for (; end < arrivals.length && end - head < MAX_ROWS && arrivalOf(end) <= now; end++) {
      const length = Math.max(longest, sample[end % sample.length] ?? 1);
      if (length * (end - head + 1) > TEI_BATCH_TOKENS) break;
      longest = length;
    }
    now += encoderMs(end - head, longest);
    for (; head < end; head++) {
      if (arrivalOf(head) < SETTLE_MS) continue;
      counted++;
      if (now - arrivalOf(head) <= DEADLINE_MS) inTime++;
    }
  }
  return inTime / counted;
}

/** @param load of what one core can encode text by text */
function textsOf(
  kind: TextKind,
  load: number,
  spanMs: number,
  seed: number,
): { readonly sample: readonly number[]; readonly arrivals: Float64Array } {
  const sample = tokensOf(kind, 20_000, seed);
  const rate = load / mean(sample.map((length) => encoderMs(1, length)));
  return { sample, arrivals: poisson(rate, Math.ceil(rate * spanMs), seed) };
}

export const SHAPES: Case = {
  name: 'shapes',
  title: 'Interleaved shapes',
  about: 'Requests of several shapes that cannot share a batch, GPU-like curve, 25 ms. Share answered in time.',
  run: runShapes,
};

export const LENGTHS: Case = {
  name: 'lengths',
  title: 'Texts of mixed lengths',
  about:
    'Texts for MiniLM on one core, with 500 ms. A load of 1 is what the core encodes text by text. Texts share batches up to ' +
    'the edges of the length grid and are padded to the longest of the batch, or only where their lengths are equal.',
  run: runLengths,
};
