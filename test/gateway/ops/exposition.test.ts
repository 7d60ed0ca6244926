import { expect, test } from 'vitest';
import { Distributions } from '../../../src/gateway/ops/distribution.ts';
import { EXPOSITION_TYPES, endOf, expose, formatFor } from '../../../src/gateway/ops/exposition.ts';
import { MetricFamilies } from '../../../src/gateway/ops/metric-families.ts';
import { parsePrometheusText, sampleValue } from './prometheus-text.ts';

const TRACE = { traceId: '0123456789abcdef0123456789abcdef', spanId: '0123456789abcdef' };
const MODEL = { model: 'resnet', version: '3' };

function source() {
  const distributions = new Distributions();
  const families = new MetricFamilies(distributions.distribute);
  return { distributions, families, resource: { 'service.name': 'a "quoted" \\ name' } };
}

test('a scraper gets OpenMetrics if it names it, and otherwise the text format of Prometheus', () => {
  const prometheus3 =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1';
  expect([prometheus3, 'text/plain', '*/*', undefined].map(formatFor)).toEqual([
    'openmetrics',
    'prometheus',
    'prometheus',
    'prometheus',
  ]);
  expect(EXPOSITION_TYPES.openmetrics).toContain('version=1.0.0');
  expect([endOf('openmetrics'), endOf('prometheus')]).toEqual(['# EOF\n', '']);
});

test('both formats have the same samples', () => {
  const { families, distributions, resource } = source();
  families.sample('tensorgate_request_bytes_total', MODEL).value = 7;
  families.distribution('tensorgate_batch_size', MODEL).record(3);
  const samples = (format: 'prometheus' | 'openmetrics'): string[] =>
    expose({ families, distributions, resource }, format)
      .split('\n')
      .filter((line) => !line.startsWith('#'))
      .map((line) => line.replace(/le="(\d+)\.0"/, 'le="$1"'));
  expect(samples('openmetrics')).toEqual(samples('prometheus'));
  const read = parsePrometheusText(expose({ families, distributions, resource }, 'prometheus'));
  expect(sampleValue(read, 'tensorgate_request_bytes_total', MODEL)).toBe(7);
  expect(sampleValue(read, 'tensorgate_batch_size_bucket', { ...MODEL, le: '4' })).toBe(1);
  expect(sampleValue(read, 'target_info', { service_name: 'a "quoted" \\ name' })).toBe(1);
});

test('OpenMetrics names the family of a counter without _total, and its unit', () => {
  const { families, distributions, resource } = source();
  const text = expose({ families, distributions, resource }, 'openmetrics');
  expect(text).toContain('# TYPE tensorgate_request_bytes counter\n# UNIT tensorgate_request_bytes bytes\n');
  expect(text).toContain('# TYPE tensorgate_in_flight_bytes_limit gauge\n# HELP');
});

test('a traced value is the exemplar of its bucket until the next one, in OpenMetrics only', () => {
  const { families, distributions, resource } = source();
  const duration = families.distribution('tensorgate_queue_duration_seconds', MODEL);
  duration.record(0.003, TRACE);
  duration.record(0.004, { ...TRACE, spanId: 'fedcba9876543210' });
  duration.record(0.0045);
  duration.record(60, TRACE);
  const lines = (format: 'prometheus' | 'openmetrics'): string[] =>
    expose({ families, distributions, resource }, format)
      .split('\n')
      .filter((line) => line.includes(' # '));
  expect(lines('prometheus')).toEqual([]);
  const [first, last, ...more] = lines('openmetrics');
  expect(first).toMatch(
    /^tensorgate_queue_duration_seconds_bucket\{model="resnet",version="3",le="0.005"\} 3 # \{trace_id="0123456789abcdef0123456789abcdef",span_id="fedcba9876543210"\} 0.004 \d+(\.\d+)?$/,
  );
  expect(last).toContain('le="+Inf"} 4 # {trace_id="0123456789abcdef0123456789abcdef",span_id="0123456789abcdef"} 60 ');
  expect(more).toEqual([]);
});
