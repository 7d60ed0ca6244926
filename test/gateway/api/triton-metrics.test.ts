import { expect, test } from 'vitest';
import { tritonMetrics } from '../../../src/gateway/api/triton-metrics.ts';
import { ModelStatistics } from '../../../src/gateway/models/model-statistics.ts';
import type { Servable } from '../../../src/gateway/models/servable.ts';
import { parsePrometheusText, sampleValue } from '../ops/prometheus-text.ts';

/** The source of the metrics. */
function servable(name: string, statistics: ModelStatistics, queuedRequests = 0): Servable {
  const servable: Pick<Servable, 'ref' | 'statistics' | 'queuedRequests'> = {
    ref: { name, version: '2' },
    statistics,
    queuedRequests,
  };
  return servable as Servable;
}

test('the statistics of each model are reported under Triton’s names, durations in microseconds', () => {
  const statistics = new ModelStatistics();
  const timing = { queueMs: 1, inputMs: 2, computeMs: 3.5, outputMs: 4, batchRows: 6 };
  statistics.recordSuccess(3, timing, 11);
  statistics.recordFailure(1, 'queue_full');
  const families = parsePrometheusText(
    tritonMetrics([servable('m', statistics, 7), servable('n', new ModelStatistics())], 'prometheus'),
  );
  const value = (name: string, labels = {}): number | undefined =>
    sampleValue(families, name, { model: 'm', version: '2', ...labels });
  expect(value('nv_inference_request_success')).toBe(1);
  expect(value('nv_inference_count')).toBe(3);
  expect(value('nv_inference_request_duration_us')).toBe(11_000);
  expect(value('nv_inference_compute_infer_duration_us')).toBe(3_500);
  expect(value('nv_inference_pending_request_count')).toBe(7);
  const failures = ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'].map((reason) =>
    value('nv_inference_request_failure', { reason }),
  );
  expect(failures).toEqual([1, 0, 0, 0]);
  expect(sampleValue(families, 'nv_inference_request_success', { model: 'n' })).toBe(0);
});

test('without a model the families are described all the same', () => {
  expect([...parsePrometheusText(tritonMetrics([], 'prometheus')).keys()]).toHaveLength(10);
});
