import { type Batch, gather } from '../../src/gateway/batch/batch.ts';
import type { Executor, RunDemand } from '../../src/gateway/batch/executor.ts';
import { bytesOf } from '../../src/wire/tensor-bytes.ts';
import type { RunOutcome } from '../../src/worker/run-outcome.ts';

/** A run that is in flight until the test says how it ends. */
export interface FakeRun {
  readonly batch: Batch;
  readonly demand: RunDemand;
  /** The values of the batch's rows, in order. */
  readonly values: readonly number[];
  end(outcome: RunOutcome): void;
}

/** Instances that run nothing: each run ends when, and as, the test says. Holds the scheduler to its part of the contract. */
export class FakeExecutor implements Executor {
  readonly instances: number;
  gate: Executor['gate'] = { kind: 'closed' };
  /** No instance lives. */
  lost = false;
  /** Every run there was, in order. */
  readonly runs: FakeRun[] = [];
  /** Those that have not ended. */
  readonly inFlight = new Set<FakeRun>();

  constructor(instances = 1) {
    this.instances = instances;
  }

  get idle(): number {
    return this.lost ? 0 : this.instances - this.inFlight.size;
  }

  run(batch: Batch, demand: RunDemand): Promise<RunOutcome> {
    if (this.idle === 0) throw new Error('a batch was sent without an idle instance');
    if (batch.requests.length === 0) throw new Error('an empty batch was sent');
    const { promise, resolve } = Promise.withResolvers<RunOutcome>();
    const run: FakeRun = {
      batch,
      demand,
      values: valuesOf(batch),
      end: (outcome) => {
        this.inFlight.delete(run);
        resolve(outcome);
      },
    };
    this.runs.push(run);
    this.inFlight.add(run);
    return promise;
  }

  /** The latest run. */
  get last(): FakeRun {
    const run = this.runs.at(-1);
    if (run === undefined) throw new Error('nothing was run');
    return run;
  }
}

/** What a model whose output is its input answers. */
export function echo({ batch, values }: FakeRun): RunOutcome {
  const shape = [batch.rows, 1];
  const data = new Uint8Array(new Float32Array(values).buffer);
  return {
    kind: 'ok',
    outputs: [{ name: 'out', datatype: 'FP32', shape, data }],
    inputMs: 0,
    computeMs: 1,
    outputMs: 0,
  };
}

function valuesOf(batch: Batch): number[] {
  const bytes = Buffer.concat(
    gather(batch, [{ name: 'in', datatype: 'FP32', shape: [-1, 1] }], 'rows').chunks.map(bytesOf),
  );
  return Array.from({ length: batch.rows }, (_, row) => bytes.readFloatLE(row * 4));
}
