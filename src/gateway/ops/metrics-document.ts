/** `docs/metrics.md`, made from the metrics. A test holds the two together. */

import { METRICS, type MetricDefinition } from './metrics.ts';

const INTRODUCTION = `# Metrics

\`http://HOST:8002/metrics\` serves every metric in Prometheus's text format. Where OpenTelemetry's variables name a collector
(\`OTEL_EXPORTER_OTLP_ENDPOINT\`, see [configuration](configuration.md)), the same metrics are pushed there under the same names.

Units are in the names: seconds, bytes. Times and counts begin with the process.
`;

const LABELS = `
## Labels

| label | values |
|---|---|
| \`model\`, \`version\` | of the model repository; \`unknown\` for a request whose model was not found |
| \`status\` | names of gRPC's status codes |
| \`reason\` of a request | why it failed, as in [errors](errors.md); \`none\` where it did not |
| \`reason\` of a batch | why it was sent: \`full\`, \`preferred\`, \`idle\`, \`delay\`, \`deadline\`, \`alone\` (a replay, or part of a batch that failed) |
| \`outcome\` | how a batch ended: \`ok\`, \`refused\` (the model refused a row), \`failed\`, \`crashed\`, \`timed_out\` (it made no progress), \`overran\` (it reached \`max_run_ms\`), \`abandoned\` (no caller waited for it, and others waited for its instance), \`interrupted\` (its runner was stopped for another batch) |
| \`outcome\` of a start | whether the version loaded into its next runner: \`ok\`, \`failed\` |
| \`outcome\` of a request to a cache | \`hit\`, \`joined\`, \`miss\` ([overload](overload.md)) |
| \`tenant\` | one that the settings name, or \`other\` |
| \`outcome\` of a tenant's request | \`admitted\`, \`limited\` |
| \`method\` | of the server, such as \`inference.GRPCInferenceService/ModelInfer\` |
| \`primary\`, \`shadow\` | versions of the model: the one whose answer the client got, and the one that got a copy ([traffic](traffic.md)) |
| \`result\` | of a comparison: \`equal\`, \`different\`, \`incomparable\` (an output is missing, or has another datatype or shape) |
| \`largest\` | whether the largest element of a row has the same place in both answers: \`same\`, \`other\` |
| \`of\` | \`primary\`, \`shadow\` |
| \`reason\` of a shadow | why it failed, as in [errors](errors.md) |
| \`cause\` of a shadow | why a copy was not sent: \`server_busy\`, \`primary_busy\`, \`shadow_busy\`, \`no_room\`, \`not_ready\`, \`breaker_open\` ([traffic](traffic.md)) |
| \`from\`, \`to\` | versions of the model: the one that answered before a [rollout](rollout.md), and the one that is to answer |
| \`stage\` | \`loading\`, \`shadow\`, \`canary\`, \`promoted\`, \`rolled_back\` |
| \`cause\` of a rollout | why it was rolled back: \`not_ready\`, \`crashed\`, \`incomparable\`, \`disagreement\`, \`errors\`, \`slow\`, \`changed\`, \`reconfigured\`, \`aborted\`; else \`none\` |
| \`limit\` | a setting, such as \`http2ControlBurst\` or \`httpMaxRequests\` ([transport](transport.md)) |
| \`runner\` | name of the process: \`MODEL:VERSION\`, or what models that share one call it |
`;

const QUESTIONS = `
## Questions and queries

Answers a second, and the share of requests that failed for want of capacity:

\`\`\`promql
sum by (model) (rate(tensorgate_requests_total{status="OK"}[1m]))
sum(rate(tensorgate_requests_total{reason=~"cannot_meet_deadline|overloaded|queue_full"}[5m])) / sum(rate(tensorgate_requests_total[5m]))
\`\`\`

The 99th percentile of latency, and how much of it is waiting:

\`\`\`promql
histogram_quantile(0.99, sum by (le, model) (rate(tensorgate_request_duration_seconds_bucket{status="OK"}[5m])))
histogram_quantile(0.99, sum by (le, model) (rate(tensorgate_queue_duration_seconds_bucket[5m])))
\`\`\`

Whether batching works, and why batches are not larger:

\`\`\`promql
rate(tensorgate_batch_size_sum[5m]) / rate(tensorgate_batch_size_count[5m])
sum by (model, reason) (rate(tensorgate_batches_total[5m]))
\`\`\`

Worth an alert: a model that is not ready, a breaker that is open, a runner that keeps ending or does not start, a rollout that
was rolled back, and a gateway that is itself the limit:

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

For dashboards that were made for Triton, \`/metrics\` has the counters of ModelStatistics under its names too, with the labels
\`model\` and \`version\`: \`nv_inference_request_success\`, \`nv_inference_request_failure\` (with \`reason\`: \`REJECTED\`,
\`CANCELED\`, \`BACKEND\`, \`OTHER\`), \`nv_inference_count\`, \`nv_inference_exec_count\`,
\`nv_inference_{request,queue,compute_input,compute_infer,compute_output}_duration_us\` and
\`nv_inference_pending_request_count\`. They begin anew when a version is loaded again. They are not pushed to a collector.
`;

export function documentMetrics(): string {
  const rows = Object.entries(METRICS).map(([name, { kind, labels, help }]: [string, MetricDefinition]) => {
    return `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |\n`;
  });
  const table = `\n| name | type | labels | meaning |\n|---|---|---|---|\n${rows.join('')}`;
  return `${INTRODUCTION}${table}${LABELS}${QUESTIONS}${TRITON}`;
}
