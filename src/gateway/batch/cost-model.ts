/**
 * Time that the batches of a model version take, learned while it serves.
 *
 * A prediction is the product of three factors that change at different speeds. The **cost** of a batch follows from its shape
 * and rows (`cost-regression.ts`, `cost-curve.ts`) and hardly ever changes. The **contention** grows with the runs that share the
 * cores. The **pace** is how long the latest runs took in proportion to both (`recent-runs.ts`): a busy neighbour, a throttled
 * pod or a change of clock slows all batches alike. So a slow minute does not teach wrong costs, and one batch shows the pace of
 * all. A pace that lasts becomes the **level** of all costs.
 *
 * COST-1: what slows all runs alike changes no ratio between the costs of two sizes, also where only one of them runs. Otherwise
 *         sizes that the warm-up measured on an idle machine would look cheaper than those that serve, and batches would shrink.
 *         So a run teaches its cost only when the pace of the runs after it is known, too.
 *
 * Predictions lean to the high side, because underestimating costs about ten times what overestimating does: deadlines are
 * missed after the work was done.
 *
 * Times are in milliseconds from sending a batch to having its answer, hops included: deadlines are the caller's.
 */

import { type RowSize, UNIT_ROW } from '../admit/infer-tensors.ts';
import { CostCurve } from './cost-curve.ts';
import { CostRegression } from './cost-regression.ts';
import { type Pace, RecentRuns, type Run, TYPICAL_RUNS, UNKNOWN_PACE } from './recent-runs.ts';

/** Until then nothing is predicted: a request is never refused on a guess. */
const RUNS_TO_TRUST = 3;
/** After this time without runs, the pace of the last runs may be out of date. */
const STALE_MS = 30_000;
/** So many usual runs in a row change predictions together, because bringing them up to date costs microseconds. */
const USUAL_RUNS = 4;
/** A run counts for at most this many times its prediction, or its usual cost: a stalled machine is not a slow model. */
const OUTLIER = 2;
/** Covers rounding, where runs of equal work take exactly equal times. */
const LEAST_MARGIN = 1.001;
/** The level of the costs follows the pace of about this many runs. */
const LEVEL_RUNS = 2_000;
/** The bias of lessons forgets after about this many runs. */
const BIAS_RUNS = 128;
/** Shapes with a curve of their own: those that were run last. The regression predicts all others. */
const MAX_CURVES = 64;
/** The factor of a contention forgets after about this many samples. */
const CONTENTION_SAMPLES = 16;
const LEAST_MS = 1e-6;
/**
 * A run of the warm-up counts as so many samples: no requests compete with it, so its time varies less. Otherwise noise in service makes a
 * straight line look as good as the measured sizes, and batches that do not pay are tried. Figures for MiniLM at 128 tokens with 10 % of
 * noise, six seeds: if a run counts as 1 sample, the p99 is up to 6.9 times FIFO's. It is 1.1 times if a run counts as 2, and equal if 3.
 * If it counts as 4, a named deadline costs 2.1 points where runs have heavy tails (`superlinear` and `heavy-tail`).
 */
const WARM_UP_SAMPLES = 3;
/** The first runs of a shape teach at once, because nothing else is known of it. */
const FIRST_RUNS = 8;
/** Later runs teach after so many others: the typical pace is then the pace of the runs after them only. */
const LESSON_DELAY = TYPICAL_RUNS;

/** The learned times of batches of one shape and size. */
export interface LearnedCost {
  readonly size: RowSize;
  readonly rows: number;
  /** Time that such a batch takes as a rule. */
  readonly ms: number;
  /** The least time that it can take. */
  readonly fastestMs: number;
}

/** A run that has not taught its cost yet. */
interface Lesson {
  readonly curve: CostCurve;
  readonly rows: number;
  /** Time without what other runs on the same cores added. */
  readonly ms: number;
  readonly elapsedMs: number;
  /** Typical pace of the runs before it. */
  readonly pace: number;
}

interface Contention {
  factor: number;
  samples: number;
}

export class CostModel {
  readonly #regression = new CostRegression();
  /** By size of a row; the latest run comes last. */
  readonly #curves = new Map<number, CostCurve>();
  readonly #recent = new RecentRuns();
  /** By how many other runs share the cores. */
  readonly #contentions: Contention[] = [];
  /** The oldest comes first. */
  readonly #lessons: Lesson[] = [];
  #runs = 0;
  /** Runs that predictions take into account. */
  #includedRuns = 0;
  #latestSize = UNIT_ROW;
  #lastMs = Number.NEGATIVE_INFINITY;
  #pace: Pace = UNKNOWN_PACE;
  #level = 1;
  /** Mean ratio of a lesson to the known cost. The pace is a median, and noise makes the mean of runs exceed their median. */
  #bias = 1;

  /**
   * Learns from a batch that ended.
   * @param beside how many other runs shared the cores.
   */
  observe(size: RowSize, rows: number, elapsedMs: number, nowMs: number, beside: number): void {
    this.#learn(size, rows, elapsedMs, nowMs, beside, false);
  }

  /** Learns from a batch that ran by itself to be measured, before the model served. */
  measure(size: RowSize, rows: number, elapsedMs: number, nowMs: number): void {
    this.#learn(size, rows, elapsedMs, nowMs, 0, true);
  }

  #learn(size: RowSize, rows: number, elapsedMs: number, nowMs: number, beside: number, isWarmUp: boolean): void {
    const curve = this.#curveToLearn(size);
    const expected = this.#costOn(curve, rows);
    // The second run may be an outlier, too; of the first, nothing is expected.
    const predicted =
      this.predict(size, rows, nowMs, beside) ?? (this.#runs === 0 ? Number.POSITIVE_INFINITY : expected);
    if (nowMs - this.#lastMs > STALE_MS) this.#recent.clear();
    const believed = Math.max(LEAST_MS, Math.min(elapsedMs, OUTLIER * Math.max(predicted, expected)));
    if (beside > 0) this.#learnContention(beside, believed / (expected * this.#pace.typical));
    const ms = believed / this.#contention(beside);
    this.#recent.add({ curve, rows, ms, isWarmUp });
    const samples = curve.samples(rows, this.#runs);
    const pace = this.#pace.typical;
    this.#level *= pace ** (1 / LEVEL_RUNS);
    this.#runs++;
    this.#lastMs = nowMs;
    this.#latestSize = size;
    if (curve.runs < FIRST_RUNS || isWarmUp) {
      this.#teach({ curve, rows, ms, elapsedMs, pace }, pace, isWarmUp ? WARM_UP_SAMPLES : 1);
    } else {
      const ownMs = Math.max(LEAST_MS, elapsedMs / this.#contention(beside));
      this.#lessons.push({ curve, rows, ms: ownMs, elapsedMs, pace });
      const due = this.#lessons.length > LESSON_DELAY ? this.#lessons.shift() : undefined;
      if (due !== undefined) this.#teach(due, pace, 1);
    }
    if (samples >= USUAL_RUNS && this.#isUsual(ms / expected) && this.#runs - this.#includedRuns < USUAL_RUNS) return;
    this.#includedRuns = this.#runs;
    this.#pace = this.#recent.pace(this.#costOfRun);
  }

  /** Time that a batch takes at most, as far as is known; `undefined` where too little is. */
  predict(size: RowSize, rows: number, nowMs: number, beside: number): number | undefined {
    if (this.#runs < RUNS_TO_TRUST) return undefined;
    // After a pause not even a slow hour counts: one run shows whether it is over, and none would run if it were believed.
    const pace = nowMs - this.#lastMs > STALE_MS ? Math.min(1, this.#pace.low) : this.#pace.high;
    return Math.max(LEAST_MS, this.#cost(size, rows) * pace * this.#contention(beside) * LEAST_MARGIN);
  }

  /**
   * Time that a batch takes at most at the usual pace of the machine, however slow it is now. It is the prediction divided by
   * `slowness`, but for requests that wait: it does not look at the clock.
   */
  predictUsual(size: RowSize, rows: number, beside: number): number | undefined {
    if (this.#runs < RUNS_TO_TRUST) return undefined;
    const pace = Math.min(1, this.#pace.high);
    return Math.max(LEAST_MS, this.#cost(size, rows) * pace * this.#contention(beside) * LEAST_MARGIN);
  }

  /** Time that a batch takes at most, for rows like the latest run's, without other requests. */
  predictLatest(rows: number, nowMs: number): number | undefined {
    return this.predict(this.#latestSize, rows, nowMs, 0);
  }

  /** By how much predictions exceed the costs at present: the machine's pace, with the margin for its changes; at least 1. */
  get slowness(): number {
    return Math.max(1, this.#pace.high);
  }

  /** Time that a batch takes as a rule, on cores of its own; `undefined` where too little is known. */
  typical(size: RowSize, rows: number): number | undefined {
    return this.#runs < RUNS_TO_TRUST ? undefined : this.#cost(size, rows) * this.#pace.typical;
  }

  /** The same for rows like the latest run's. */
  typicalLatest(rows: number): number | undefined {
    return this.typical(this.#latestSize, rows);
  }

  /** The least time in which such a batch ever ran; `undefined` where none did. */
  fastest(size: RowSize, rows: number): number | undefined {
    return this.#curves.get(keyOf(size))?.fastest(rows);
  }

  /** The batches that were run, the shape that ran last first. */
  get learned(): readonly LearnedCost[] {
    return [...this.#curves.values()].reverse().flatMap((curve) => {
      const { size } = curve;
      return curve.sizes.map((rows): LearnedCost => {
        const ms = this.#costOn(curve, rows) * this.#pace.typical;
        return { size, rows, ms, fastestMs: curve.fastest(rows) ?? ms };
      });
    });
  }

  /**
   * Learns the cost of a run. Its pace is the pace of the runs before it or after it, whichever is closer to its own.
   * @param laterPace typical pace of the runs after it.
   * @param weight samples that it counts as.
   */
  #teach({ curve, rows, ms, elapsedMs, pace: earlierPace }: Lesson, laterPace: number, weight: number): void {
    const expected = this.#costOn(curve, rows);
    const own = Math.log(ms / expected);
    const isLater = Math.abs(own - Math.log(laterPace)) < Math.abs(own - Math.log(earlierPace));
    const pace = isLater ? laterPace : earlierPace;
    const cost = this.#lesson(ms / pace, expected, curve.samples(rows, this.#runs)) / this.#level;
    this.#regression.learn(curve.size, rows, cost);
    curve.learn(rows, cost, elapsedMs, this.#runs, weight);
  }

  /**
   * The cost to learn from a run. Well-known costs change slowly, so that a slow minute that the pace has not followed yet does no
   * harm.
   */
  #lesson(cost: number, expected: number, samples: number): number {
    if (this.#runs <= RUNS_TO_TRUST) return cost;
    const limit = 1 + Math.max(0.2, Math.min(1, 2 * this.#pace.spread), 3 / (1 + samples) ** 2);
    const believed = Math.min(Math.max(cost, expected / limit), expected * limit);
    if (samples >= USUAL_RUNS) this.#bias += (believed / expected - this.#bias) / BIAS_RUNS;
    return believed / this.#bias;
  }

  #cost(size: RowSize, rows: number): number {
    const curve = this.#curves.get(keyOf(size));
    if (curve !== undefined) return this.#costOn(curve, rows);
    return (this.#regression.fixedMs + rows * this.#regression.rowMs(size)) * this.#level;
  }

  #isUsual(pace: number): boolean {
    return this.#pace.isSteady && pace >= this.#pace.low && pace <= this.#pace.high;
  }

  #costOn(curve: CostCurve, rows: number): number {
    return Math.max(LEAST_MS, curve.cost(rows, this.#includedRuns, this.#pace.spread) * this.#level);
  }

  readonly #costOfRun = ({ curve, rows }: Run): number => this.#costOn(curve, rows);

  /** Factor by which other runs on the same cores slow a run; an unobserved number has the factor of the next lower one. */
  #contention(beside: number): number {
    for (let runs = beside; runs > 0; runs--) {
      const known = this.#contentions[runs];
      if (known !== undefined) return known.factor;
    }
    return 1;
  }

  /** @param ratio of a run's time to what it would be without other runs. */
  #learnContention(beside: number, ratio: number): void {
    let contention = this.#contentions[beside];
    if (contention === undefined) {
      contention = { factor: 1, samples: 0 };
      this.#contentions[beside] = contention;
    }
    contention.samples = Math.min(CONTENTION_SAMPLES, contention.samples + 1);
    // Sharing the cores evenly is the worst that others can do.
    const shared = Math.min(beside + 1, Math.max(1, ratio));
    contention.factor += (shared - contention.factor) / contention.samples;
  }

  #curveToLearn(size: RowSize): CostCurve {
    const key = keyOf(size);
    const curve = this.#curves.get(key) ?? new CostCurve(size, this.#regression);
    this.#curves.delete(key);
    this.#curves.set(key, curve);
    const oldest = this.#curves.keys().next();
    if (this.#curves.size > MAX_CURVES && !oldest.done) this.#curves.delete(oldest.value);
    return curve;
  }
}

/** Sizes that share a key have as many elements, and lengths that are all but equal: they cost the same. */
function keyOf({ elements, length }: RowSize): number {
  return elements * 2 ** 32 + length;
}
