/** Generates `docs/metrics.md` from the metrics; a test compares the two. */

import type { MetricDefinition } from './metric-definition.ts';
import { METRICS } from './metric-definitions.ts';

const INTRODUCTION = `# Metrics

For platform engineers who build dashboards and alerts: all metrics, their labels, and queries to start with.

\`\`\`sh
curl -s localhost:8002/metrics
\`\`\`

\`/metrics\` on the HTTP port serves every metric in Prometheus's text format, or in OpenMetrics if the scraper asks for it. With \`OTEL_EXPORTER_OTLP_ENDPOINT\`
([configuration](configuration.md)), the same metrics are also pushed to a collector, under the same names. The unit is part of
the name: seconds, bytes. Counters start at 0 with the process. A model's series are there before its first request, except for
combinations that are rare: batches that did not end with \`ok\`, and durations of requests that failed.
`;

const LABELS = `
## Labels

| label | values |
|---|---|
| \`model\`, \`version\` | as in the model repository; \`unknown\` when the model of a request was not found |
| \`status\` | name of a gRPC status code |
| \`reason\` of a request | why it failed, as in [errors](errors.md); \`none\` when it succeeded |
| \`reason\` of a batch | why it was sent: \`full\`, \`preferred\`, \`idle\`, \`delay\`, \`deadline\`, \`alone\` (a replay, or part of a batch that failed) |
| \`outcome\` | how a batch ended: \`ok\`; \`refused\`: the model refused a row; \`failed\`; \`crashed\`; \`timed_out\`: it made no progress; \`overran\`: it reached \`max_run_ms\`; \`abandoned\`: no caller waited for it, and others waited for its instance; \`interrupted\`: its runner was stopped for another batch |
| \`outcome\` of a start | whether the version loaded into its next runner: \`ok\`, \`failed\` |
| \`outcome\` of a request to a cache | \`hit\`, \`joined\`, \`miss\` ([overload](overload.md)) |
| \`tenant\` | a tenant with a weight in the settings, or \`other\` |
| \`outcome\` of a tenant's request | \`admitted\`, \`limited\` |
| \`method\` | a method of the server, such as \`inference.GRPCInferenceService/ModelInfer\` |
| \`primary\`, \`shadow\` | versions of the model: the version that answered the client, and the version that got a copy ([traffic](traffic.md)) |
| \`result\` | outcome of a comparison: \`equal\`, \`different\`, \`incomparable\` (an output is missing, or has another datatype or shape) |
| \`largest\` | whether the largest element of a row has the same place in both answers: \`same\`, \`other\` |
| \`of\` | the version that the time belongs to: \`primary\`, \`shadow\` |
| \`reason\` of a shadow | why it failed, as in [errors](errors.md) |
| \`cause\` of a shadow | why a copy was not sent: \`server_busy\`, \`primary_busy\`, \`shadow_busy\`, \`no_room\`, \`not_ready\`, \`breaker_open\` ([traffic](traffic.md)) |
| \`from\`, \`to\` | versions of the model: the old and the new version of a [rollout](rollout.md) |
| \`stage\` | \`loading\`, \`shadow\`, \`canary\`, \`promoted\`, \`rolled_back\` |
| \`cause\` of a rollout | why it was rolled back: \`not_ready\`, \`crashed\`, \`incomparable\`, \`disagreement\`, \`errors\`, \`slow\`, \`changed\`, \`reconfigured\`, \`aborted\`; otherwise \`none\` |
| \`limit\` | a setting, such as \`http2ControlBurst\` or \`httpMaxRequests\` ([transport](transport.md)) |
| \`kind\` | kind of a collection of garbage: \`minor\`, \`major\`, \`incremental\`, \`weakcb\` |
| \`version\`, \`node\`, \`onnxruntime\` of a build | versions of tensorgate, Node.js and ONNX Runtime |
| \`rows\` | rows of a batch |
| \`acceptor\` | number of the acceptor, from 0 ([transport](transport.md#acceptors)) |
| \`runner\` | name of the process: \`MODEL:VERSION\`, or the configured name of a shared runner |
`;

const QUESTIONS = `
## Questions and queries

[deploy/grafana/tensorgate.json](../deploy/grafana/tensorgate.json) asks them all ([observability](observability.md#grafana)).

Responses per second, and the share of requests that failed for lack of capacity:

\`\`\`promql
sum by (model) (rate(tensorgate_requests_total{status="OK"}[1m]))
sum(rate(tensorgate_requests_total{reason=~"cannot_meet_deadline|overloaded|queue_full"}[5m])) / sum(rate(tensorgate_requests_total[5m]))
\`\`\`

99th percentile of the latency, and of the time in the queue:

\`\`\`promql
histogram_quantile(0.99, sum by (le, model) (rate(tensorgate_request_duration_seconds_bucket{status="OK"}[5m])))
histogram_quantile(0.99, sum by (le, model) (rate(tensorgate_queue_duration_seconds_bucket[5m])))
\`\`\`

Average batch size, and why batches were sent when they were:

\`\`\`promql
rate(tensorgate_batch_size_sum[5m]) / rate(tensorgate_batch_size_count[5m])
sum by (model, reason) (rate(tensorgate_batches_total[5m]))
\`\`\`

Alerts: a model is not ready, a breaker is open, a runner keeps crashing or does not start, a rollout was rolled back, the
gateway itself is the bottleneck. [runbook.md](runbook.md) has the remedies, and all alerts of \`deploy/istio\`:

\`\`\`promql
tensorgate_model_ready == 0
tensorgate_breaker_state == 2
increase(tensorgate_runner_restarts_total[10m]) > 2
increase(tensorgate_runner_starts_total{outcome="failed"}[10m]) > 2
increase(tensorgate_rollout_changes_total{stage="rolled_back"}[10m]) > 0
rate(tensorgate_event_loop_active_seconds_total[1m]) > 0.9
\`\`\`
`;

const TRITON = `
## Triton's names

For dashboards made for Triton, \`/metrics\` also serves the counters of ModelStatistics under Triton's names, with the labels
\`model\` and \`version\`: \`nv_inference_request_success\`, \`nv_inference_request_failure\` (with \`reason\`: \`REJECTED\`,
\`CANCELED\`, \`BACKEND\`, \`OTHER\`), \`nv_inference_count\`, \`nv_inference_exec_count\`,
\`nv_inference_{request,queue,compute_input,compute_infer,compute_output}_duration_us\` and
\`nv_inference_pending_request_count\`. They start at 0 again when a version is loaded again, and are not pushed to a collector.
`;

export function documentMetrics(): string {
  const rows = Object.entries(METRICS).map(([name, { kind, labels, help }]: [string, MetricDefinition]) => {
    return `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |\n`;
  });
  const table = `\n| name | type | labels | meaning |\n|---|---|---|---|\n${rows.join('')}`;
  return `${INTRODUCTION}${table}${LABELS}${QUESTIONS}${TRITON}`;
}
