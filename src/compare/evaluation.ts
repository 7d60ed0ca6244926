/** How well candidates answer: against the right answers where these are known, and against the base. */

import { RunError } from '../compress/runner-session.ts';
import type { OutputTensor } from '../gateway/batch/queued-request.ts';
import { Comparison } from '../gateway/rollout/agreement.ts';
import { type ClassOutput, largestOf, numbersOf } from './class-output.ts';
import type { Contender } from './contender.ts';
import { type Embedding, EmbeddingTally } from './embedding.ts';
import type { Flip, Quality } from './report.ts';
import { batchesOf, DataError, type Dataset, type Sample } from './sample.ts';

/** Rows of one run: results do not depend on it, and larger batches only need more memory. */
const BATCH_ROWS = 32;
const MAX_FLIPS = 200;
/** How far elements may be apart, as a share of the largest of the base, to count as agreeing where there are no classes. */
const CLOSE = 0.05;

export interface EvaluationOptions {
  readonly classes: ClassOutput | undefined;
  /** `undefined` where no output is a vector of each row. */
  readonly embedding?: Embedding | undefined;
  readonly signal: AbortSignal;
  /** Called with the number of finished rows. */
  readonly progress: (done: number) => void;
}

/**
 * Runs every sample through the base and all candidates.
 * @returns the results of each contender, the base first.
 * @throws DataError where a label is none of the classes; RunError where the base cannot answer
 */
export async function evaluate(
  contenders: readonly Contender[],
  dataset: Dataset,
  { classes, embedding, signal, progress }: EvaluationOptions,
): Promise<Quality[]> {
  const tallies = contenders.map(() => new Tally(classes, embedding));
  const rows = Math.min(BATCH_ROWS, ...contenders.map(({ maxRows }) => maxRows));
  let done = 0;
  for await (const { from, samples } of batchesOf(dataset, rows)) {
    signal.throwIfAborted();
    const tensors = samples.map((sample) => sample.tensors);
    // Two at a time would be enough for two cores; each has its own process, and the system shares the cores among them.
    const answers = await Promise.all(
      contenders.map((contender, index) =>
        contender.answer(tensors).catch((error: unknown) => {
          if (!(error instanceof RunError) || index === 0) throw error;
          return error;
        }),
      ),
    );
    const [base] = answers;
    if (base === undefined || base instanceof RunError) throw new TypeError('the base gave no answers');
    for (const [index, answer] of answers.entries()) {
      for (const [row, sample] of samples.entries()) {
        const right = classes === undefined ? undefined : classOf(sample, classes);
        if (answer instanceof RunError) tallies[index]?.fail(answer.message);
        else tallies[index]?.see({ row: from + row, sample, right, base: base[row] ?? [], answer: answer[row] ?? [] });
      }
    }
    done += samples.length;
    progress(done);
  }
  return tallies.map((tally) => tally.quality);
}

/** The number of the class that a sample is labelled with. @throws DataError */
export function classOf({ label, name }: Sample, { size, names }: ClassOutput): number | undefined {
  if (label === undefined) return undefined;
  const index = typeof label === 'number' ? label : names.indexOf(label);
  if (Number.isInteger(index) && index >= 0 && index < size) return index;
  const known = names.length === 0 ? `numbers from 0 to ${size - 1}` : names.join(', ');
  throw new DataError(`${name}: '${label}' is no class of the model: expected ${known}`);
}

interface Seen {
  readonly row: number;
  readonly sample: Sample;
  readonly right: number | undefined;
  readonly base: readonly OutputTensor[];
  readonly answer: readonly OutputTensor[];
}

class Tally {
  readonly #classes: ClassOutput | undefined;
  readonly #embedding: Embedding | undefined;
  readonly #vectors = new EmbeddingTally();
  readonly #flips: Flip[] = [];
  readonly #rightOf: number[];
  readonly #seenOf: number[];
  #rows = 0;
  #failed = 0;
  #failure: string | undefined;
  #agreeing = 0;
  #compared = 0;
  #flipped = 0;
  #maxAbs = 0;
  #sumAbs = 0;
  #elements = 0;

  constructor(classes: ClassOutput | undefined, embedding: Embedding | undefined) {
    this.#classes = classes;
    this.#embedding = embedding;
    this.#rightOf = Array.from({ length: classes?.size ?? 0 }, () => 0);
    this.#seenOf = Array.from({ length: classes?.size ?? 0 }, () => 0);
  }

  fail(reason: string): void {
    this.#failed++;
    this.#failure ??= reason;
  }

  see(seen: Seen): void {
    this.#rows++;
    const { tensors } = seen.sample;
    const embedding = this.#embedding;
    if (embedding !== undefined) {
      this.#vectors.see(embedding.vectorOf(seen.base, tensors), embedding.vectorOf(seen.answer, tensors));
    }
    const comparison = new Comparison(seen.base, seen.answer);
    while (!comparison.advance());
    const { result, absolute, rowsAgreeing, rowsDisagreeing } = comparison.agreement;
    this.#maxAbs = Math.max(this.#maxAbs, absolute);
    const { sum, elements, largest } = differenceOf(seen.base, seen.answer);
    this.#sumAbs += sum;
    this.#elements += elements;
    // As a shadow counts them, so that both may be compared.
    const hasPlaces = rowsAgreeing + rowsDisagreeing > 0;
    const isClose = result !== 'incomparable' && absolute <= CLOSE * largest;
    this.#agreeing += hasPlaces ? rowsAgreeing : isClose ? 1 : 0;
    this.#compared += hasPlaces ? rowsAgreeing + rowsDisagreeing : 1;
    if (this.#classes !== undefined) this.#seeClass(seen, this.#classes);
    else if (hasPlaces ? rowsDisagreeing > 0 : !isClose) this.#flipped++;
  }

  #seeClass({ row, sample, right, base, answer }: Seen, classes: ClassOutput): void {
    const theirs = largestOf(base, classes);
    const ours = largestOf(answer, classes);
    if (right !== undefined) {
      this.#seenOf[right] = (this.#seenOf[right] ?? 0) + 1;
      if (ours.class === right) this.#rightOf[right] = (this.#rightOf[right] ?? 0) + 1;
    }
    if (ours.class === theirs.class) return;
    this.#flipped++;
    const label = right === undefined ? undefined : (classes.names[right] ?? String(right));
    const named = label === undefined ? {} : { label };
    this.#flips.push({ row, name: sample.name, ...named, base: theirs, candidate: ours });
  }

  get quality(): Quality {
    const seen = this.#seenOf.reduce((sum, each) => sum + each, 0);
    const right = this.#rightOf.reduce((sum, each) => sum + each, 0);
    const vectors = this.#embedding && this.#vectors.quality(this.#embedding.output);
    const perClass = this.#seenOf.map((of, index) => (of === 0 ? null : (this.#rightOf[index] ?? 0) / of));
    return {
      rows: this.#rows,
      failed: this.#failed,
      ...(this.#failure !== undefined && { failure: this.#failure }),
      ...(seen > 0 && { accuracy: right / seen, perClass }),
      ...(vectors !== undefined && { embedding: vectors }),
      agreement: this.#compared === 0 ? 0 : this.#agreeing / this.#compared,
      flips: { count: this.#flipped, shown: spreadOver(this.#flips, MAX_FLIPS) },
      maxAbs: finite(this.#maxAbs),
      meanAbs: this.#elements === 0 ? 0 : finite(this.#sumAbs / this.#elements),
    };
  }
}

/** At most `most` items, spread evenly over the list. */
function spreadOver<T>(items: readonly T[], most: number): T[] {
  const step = Math.max(1, items.length / most);
  return items.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}

/** JSON has no infinity. */
function finite(value: number): number {
  return Number.isFinite(value) ? value : Number.MAX_VALUE;
}

function differenceOf(base: readonly OutputTensor[], answer: readonly OutputTensor[]) {
  let sum = 0;
  let elements = 0;
  let largest = 0;
  for (const output of base) {
    const ours = numbersOf(output);
    const other = answer.find(({ name }) => name === output.name);
    const theirs = other === undefined ? undefined : numbersOf(other);
    if (ours === undefined || theirs?.length !== ours.length) continue;
    for (let index = 0; index < ours.length; index++) {
      const a = ours[index] ?? 0;
      sum += Math.abs(a - (theirs[index] ?? 0));
      largest = Math.max(largest, Math.abs(a));
    }
    elements += ours.length;
  }
  return { sum, elements, largest };
}
