/**
 * How long a batch takes, learned while serving: a moving mean for each size that was run, a line through all of them,
 * and how far both were off. Predictions lean to the high side, because underestimating costs about ten times what
 * overestimating does (deadlines are missed after the work was done).
 *
 * Times are in milliseconds from sending a batch to having its answer, hops included: deadlines are the caller's.
 */

/** A moving mean forgets after about this many samples, so that a change of speed is followed within some 20 batches. */
const MEAN_SAMPLES = 12;
/** Weight that old samples keep in the line for each new one. */
const FORGETTING = 0.97;
/** Until then nothing is predicted: a request is never refused on a guess. */
const SAMPLES_TO_TRUST = 3;
/** A prediction from longer ago may describe another world, and refusing everything would keep it from being corrected. */
const STALE_MS = 30_000;
/** One sample counts at most this many times the prediction: a stalled machine is not a slow model. */
const OUTLIER = 4;
/** Mean errors added to the mean: the 95th percentile of a normal error, whose mean magnitude is 0.8 of its deviation. */
const MARGIN = 1.65 / 0.8;

interface SizeMean {
  readonly rows: number;
  mean: number;
  samples: number;
  fastest: number;
  /** What is expected of this size: at least what is expected of any smaller one. */
  expected: number;
}

export class LatencyModel {
  /** Ascending by rows. */
  readonly #sizes: SizeMean[] = [];
  #samples = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #relativeError = 0;
  // Weighted sums of the least-squares line.
  #w = 0;
  #x = 0;
  #y = 0;
  #xx = 0;
  #xy = 0;

  /** Learns that a batch of `rows` took `elapsedMs`, at `nowMs`. */
  observe(rows: number, elapsedMs: number, nowMs: number): void {
    const expected = this.#samples >= SAMPLES_TO_TRUST ? this.#expect(rows) : undefined;
    const elapsed = expected === undefined ? elapsedMs : Math.min(elapsedMs, expected * OUTLIER);
    if (expected !== undefined && expected > 0) {
      this.#relativeError += (Math.abs(elapsed - expected) / expected - this.#relativeError) / MEAN_SAMPLES;
    }
    const size = this.#sizeOf(rows);
    size.samples++;
    size.fastest = Math.min(size.fastest, elapsedMs);
    size.mean += (elapsed - size.mean) / Math.min(size.samples, MEAN_SAMPLES);
    this.#w = this.#w * FORGETTING + 1;
    this.#x = this.#x * FORGETTING + rows;
    this.#y = this.#y * FORGETTING + elapsed;
    this.#xx = this.#xx * FORGETTING + rows * rows;
    this.#xy = this.#xy * FORGETTING + rows * elapsed;
    this.#samples++;
    this.#lastMs = nowMs;
    this.#levelOut();
  }

  /** How long a batch of `rows` takes, with a margin; `undefined` where too little was seen, or too long ago. */
  predict(rows: number, nowMs: number): number | undefined {
    if (this.#samples < SAMPLES_TO_TRUST || nowMs - this.#lastMs > STALE_MS) return undefined;
    return this.#expect(rows) * (1 + MARGIN * this.#relativeError);
  }

  /** The fastest run that was seen of a batch of at least so many rows, or of the largest that was. */
  fastest(rows: number): number | undefined {
    const at = this.#indexOf(rows);
    return this.#sizes[at]?.rows === rows ? this.#sizes[at].fastest : this.#sizes[at - 1]?.fastest;
  }

  /** Never less for more rows: noise between neighbouring sizes must not make a larger batch look cheaper. */
  #expect(rows: number): number {
    const at = this.#indexOf(rows);
    const size = this.#sizes[at];
    if (size?.rows === rows) return size.expected;
    const least = this.#sizes[at - 1]?.expected ?? 0;
    return Math.max(least, Math.min(this.#line(rows), size?.expected ?? Number.POSITIVE_INFINITY));
  }

  /** Brings what is expected of each size up to date with its mean and the line. */
  #levelOut(): void {
    let least = 0;
    for (const size of this.#sizes) {
      const samples = Math.min(size.samples, MEAN_SAMPLES);
      const trust = samples / (samples + 4);
      least = Math.max(least, trust * size.mean + (1 - trust) * this.#line(size.rows));
      size.expected = least;
    }
  }

  #line(rows: number): number {
    const meanX = this.#x / this.#w;
    const meanY = this.#y / this.#w;
    const variance = this.#xx / this.#w - meanX * meanX;
    if (variance < 1e-9) return meanY * Math.max(1, rows / meanX);
    const slope = Math.max(0, (this.#xy / this.#w - meanX * meanY) / variance);
    // A negative intercept would promise small batches for nothing.
    if (meanY - slope * meanX < 0) return (meanY / meanX) * rows;
    return meanY + slope * (rows - meanX);
  }

  #sizeOf(rows: number): SizeMean {
    const at = this.#indexOf(rows);
    const found = this.#sizes[at];
    if (found?.rows === rows) return found;
    const made = { rows, mean: 0, samples: 0, expected: 0, fastest: Number.POSITIVE_INFINITY };
    this.#sizes.splice(at, 0, made);
    return made;
  }

  /** Where `rows` is, or would be, among the sizes. */
  #indexOf(rows: number): number {
    let low = 0;
    let high = this.#sizes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sizes[middle]?.rows ?? Number.POSITIVE_INFINITY) < rows) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
