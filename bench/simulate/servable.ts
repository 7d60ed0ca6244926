/** A loaded model of FP32 tensors of two elements a row, whose requests a simulated scheduler takes. */

import type { Batcher } from '../../src/gateway/batch/batcher.ts';
import { ModelStatistics } from '../../src/gateway/models/model-statistics.ts';
import type { ModelPlan } from '../../src/gateway/models/planned-version.ts';
import type { Servable, Served } from '../../src/gateway/models/servable.ts';
import type { ModelRef } from '../../src/gateway/ops/diagnostics.ts';
import { MODEL_CONFIG } from '../../src/gateway/repository/config/model-config.ts';
import type { ModelSignature } from '../../src/gateway/repository/signature/model-signature.ts';
import { emptyPlan } from '../../test/support/empty-plan.ts';

/** Elements of a row of each tensor. */
export const ROW_ELEMENTS = 2;

export class SimulatedServable implements Servable {
  readonly ref: ModelRef;
  readonly config = MODEL_CONFIG.parse({});
  readonly plan: ModelPlan;
  readonly platform = 'onnxruntime_onnx';
  readonly statistics = new ModelStatistics();
  readonly state = 'READY';
  readonly detail = 'simulated';
  readonly isDown = false;
  readonly pid = undefined;
  readonly modelPaths = [];
  readonly placements = [];
  readonly breaker = 'closed';
  readonly ready: Served;

  /** @param inputs names of its inputs; its output is `y`. */
  constructor(name: string, batcher: Batcher, inputs: readonly string[], maxRows: number) {
    this.ref = { name, version: '1' };
    this.plan = emptyPlan(this);
    const shape = [-1, ROW_ELEMENTS];
    const signature: ModelSignature = {
      inputs: inputs.map((input) => ({ name: input, datatype: 'FP32', shape })),
      outputs: [{ name: 'y', datatype: 'FP32', shape, labelFilename: undefined, labels: [] }],
      batching: { kind: 'on', maxRows },
    };
    this.ready = { signature, axis: 'rows', batcher };
  }

  get queuedRequests(): number {
    return this.ready.batcher.queuedRequests;
  }

  get queuedRows(): number {
    return this.ready.batcher.queuedRows;
  }

  load(): Promise<void> {
    return Promise.resolve();
  }

  abandon(): void {}

  drained(): Promise<void> {
    return this.ready.batcher.drained();
  }

  close(): void {}
}
