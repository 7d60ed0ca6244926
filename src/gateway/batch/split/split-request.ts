/**
 * A request with more rows than a batch may have. Its parts wait, run and are replayed as requests of their own; its caller has one
 * request.
 *
 * SPLIT-1: it settles exactly once: with all of its rows, or with the first error of a part.
 * SPLIT-2: after it has settled, no part of it waits.
 * SPLIT-3: its parts have its times, its level and its flow, so that they wait one behind the other and expire together.
 * SPLIT-4: its parts enter the queue together, or none does (`RequestQueue.pushParts`). In the queue they count as one request.
 */

import type { Call, CancelReason } from '../../accept/call.ts';
import { DerivedCall } from '../../accept/derived-call.ts';
import { reject, resolve, watch } from '../../accept/waiter.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import { InferError } from '../../errors.ts';
import type { OutputAxes } from '../batch.ts';
import type { WantedTensors } from '../batcher.ts';
import type { InferOutputs, QueuedRequest, RequestTiming, SplitWhole } from '../queued-request.ts';
import { type CutOptions, cutRows } from './row-cut.ts';
import { RowJoin } from './row-join.ts';

export interface SplitOptions extends CutOptions {
  /** The model's name. */
  readonly model: string;
  /** The outputs whose rows do not lie on axis 0. */
  readonly outputAxes?: OutputAxes;
  /** Bytes that the outputs of the request may have. */
  readonly maxOutputBytes: number;
  /** Predicted share of a part in the work of the queue. */
  readonly workMs: (tensors: InferTensors) => number;
}

const NO_AXES: OutputAxes = new Map();
const NO_TIME: RequestTiming = {
  queueMs: Number.POSITIVE_INFINITY,
  inputMs: 0,
  computeMs: 0,
  outputMs: 0,
  batchRows: 0,
};

export class SplitRequest implements SplitWhole {
  /** In order of their rows; none before the request is cut. */
  parts: readonly QueuedRequest[] = [];
  readonly #whole: QueuedRequest;
  readonly #options: SplitOptions;
  readonly #joined: RowJoin;
  #calls: readonly DerivedCall[] = [];
  #timing = NO_TIME;
  #isSpent = true;
  /** Parts that are not answered. */
  #open = 0;
  /** Parts in the queue. */
  #waiting = 0;

  /** @param wanted the outputs that are read; `undefined`: all. */
  constructor(whole: QueuedRequest, wanted: WantedTensors | undefined, options: SplitOptions) {
    const { outputAxes: axes = NO_AXES, maxOutputBytes } = options;
    this.#whole = whole;
    this.#options = options;
    this.#joined = new RowJoin({ rows: whole.rows, axes, wanted, maxOutputBytes });
  }

  /** To be called when the queue has room for the request. From then on the end of the client's call ends the parts. */
  cut(): readonly QueuedRequest[] {
    const { call, tensors } = this.#whole;
    const { model, maxRows } = this.#options;
    const pieces = cutRows(tensors, this.#options);
    const calls = pieces.map(() => new DerivedCall(call, call.deadline, model));
    this.#open = pieces.length;
    this.#calls = calls;
    this.parts = pieces.map((piece, index) => this.#partOf(piece, index * maxRows, calls[index] ?? call));
    watch(this.#whole, this.#cancel);
    return this.parts;
  }

  isStillThere(sign: 1 | -1): boolean {
    const before = this.#waiting;
    this.#waiting += sign;
    return before > 0 && this.#waiting > 0;
  }

  #partOf(tensors: InferTensors, from: number, call: Call): QueuedRequest {
    const { rows, bytes } = tensors;
    return {
      ...this.#whole,
      tensors,
      rows,
      bytes,
      workMs: this.#options.workMs(tensors),
      call,
      resolve: (answer) => this.#take(from, rows, answer),
      reject: this.#fail,
      whole: this,
    };
  }

  readonly #cancel = (_: QueuedRequest, reason: CancelReason): void => this.#end(reason);

  readonly #fail = (error: InferError): void => {
    if (reject(this.#whole, error)) this.#end('client');
  };

  /** SPLIT-2: each call takes its part out of the queue, and the first of them settles the request. */
  #end(reason: CancelReason): void {
    for (const call of this.#calls) call.cancel(reason);
  }

  #take(from: number, rows: number, { outputs, timing, requestIsSpent = false }: InferOutputs): void {
    if (this.#whole.settled) return;
    try {
      this.#joined.add(from, rows, outputs);
    } catch (thrown) {
      this.#fail(InferError.from(thrown));
      return;
    }
    this.#timing = sum(this.#timing, timing);
    this.#isSpent &&= requestIsSpent;
    this.#open--;
    if (this.#open > 0) return;
    resolve(this.#whole, {
      outputs: this.#joined.finish(),
      timing: within(performance.now() - this.#whole.arrivalMs, this.#timing),
      requestIsSpent: this.#isSpent,
    });
  }
}

/** The wait before the first run, the sum of all runs, and the largest batch. */
function sum(one: RequestTiming, other: RequestTiming): RequestTiming {
  return {
    queueMs: Math.min(one.queueMs, other.queueMs),
    inputMs: one.inputMs + other.inputMs,
    computeMs: one.computeMs + other.computeMs,
    outputMs: one.outputMs + other.outputMs,
    batchRows: Math.max(one.batchRows, other.batchRows),
  };
}

/** Clients take wait and runs to be parts of the whole time. Runs beside each other are counted once. */
function within(elapsedMs: number, timing: RequestTiming): RequestTiming {
  const { queueMs, inputMs, computeMs, outputMs, batchRows } = timing;
  const share = Math.min(1, (elapsedMs - queueMs) / (inputMs + computeMs + outputMs));
  if (!(share < 1)) return timing;
  return { queueMs, inputMs: inputMs * share, computeMs: computeMs * share, outputMs: outputMs * share, batchRows };
}
