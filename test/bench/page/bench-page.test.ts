import { expect, test } from 'vitest';
import { renderBenchPage } from '../../../src/bench/page/bench-page.ts';
import { parseResult } from '../../../src/bench/result.ts';
import { benchLevel, benchResult } from '../../support/bench-result.ts';

const SLO = { ms: 50, share: 0.99 };
const met = benchLevel({ ratePerS: 20, goodputPerS: 20, slo: { withinShare: 1, verdict: 'met' } });
const missed = benchLevel({ ratePerS: 40, goodputPerS: 30, slo: { withinShare: 0.75, verdict: 'missed' } });
const busy = benchLevel({
  ...{ ratePerS: 80, goodputPerS: 10, slo: { withinShare: 0.2, verdict: 'unknown' }, latencyMs: null },
  client: {
    ...{ processes: 2, loopBusy: 0.99, cpu: 1, lagP99Ms: 30, lateShare: 0.5 },
    bottleneck: 'its event loop was busy 99 % of the time',
  },
});

test('the result that these tests show is one', () => {
  const result = benchResult({ slo: SLO, levels: [met, missed, busy] });
  expect(parseResult(JSON.stringify(result))).toEqual(result);
});

test.each([
  [[met], '<strong>All levels keep the objective</strong>, up to rate 20/s: 99 % of the calls within 50 ms.'],
  [
    [met, missed],
    '<strong>The objective holds up to rate 20/s</strong>: 99 % of the calls within 50 ms; at rate 40/s it is 75.0 %.',
  ],
  [[met, busy], 'at rate 80/s the client machine was the bottleneck, so that it is not known'],
  [[missed], '<strong>No level is known to keep the objective</strong>'],
])('the page says first how far the objective holds: %#', (levels, text) => {
  expect(renderBenchPage(benchResult({ slo: SLO, levels: [...levels] }))).toContain(text);
});

test('without an objective, the page says first how many calls are answered at most', () => {
  const levels = [benchLevel({ concurrency: 1, answeredPerS: 90 }), benchLevel({ concurrency: 2, answeredPerS: 150 })];
  const page = renderBenchPage(benchResult({ arrivals: null, levels }));
  expect(page).toContain('<strong>150 answers a second</strong> at most, at concurrency 2: half of them within 4 ms');
  expect(page).toContain('each answer sent the next call');
});

test('a level whose client was the bottleneck has no latency, and a reason', () => {
  const page = renderBenchPage(benchResult({ slo: SLO, levels: [met, busy] }));
  expect(page).toContain('its event loop was busy 99 % of the time');
  expect(page).not.toMatch(/NaN|undefined|Infinity|null/);
});

test('a server without statistics, answers and several levels has a page without empty plots', () => {
  const { server: _, ...bare } = benchLevel({ ratePerS: 5, answered: 0, answeredPerS: 0, latencyMs: null });
  const failed = { ...bare, failures: { UNAVAILABLE: 200 }, firstFailure: '<b>gone</b> (UNAVAILABLE)' };
  const page = renderBenchPage(benchResult({ levels: [failed] }));
  expect(page).toContain('<strong>No call was answered.</strong>');
  expect(page).toContain('200 UNAVAILABLE. The first: &lt;b&gt;gone&lt;/b&gt; (UNAVAILABLE)');
  expect(page).not.toMatch(/NaN|undefined|Infinity|null|Time in the server|<h3>Latency/);
});

test('a comparison names the figures that are worse', () => {
  const figure = { name: 'p99 ms', before: 10, now: 20, ratio: 2, verdict: 'worse' } as const;
  const comparison = {
    ...{ source: 'before.json', created: '2026-01-01T00:00:00.000Z', regressions: 1 },
    differences: ['Node: 22 before, 24 now'],
    levels: [{ ratePerS: 20, figures: [figure] }],
  };
  const page = renderBenchPage(benchResult({ comparison }));
  expect(page).toContain('1 figure is worse.');
  expect(page).toContain('Node: 22 before, 24 now');
});

test('twenty levels have a plot whose load is on an even axis', () => {
  const levels = Array.from({ length: 20 }, (_, index) => benchLevel({ ratePerS: 100 * (index + 1) }));
  const page = renderBenchPage(benchResult({ levels }));
  expect(page.match(/<svg class="plot"/g)).toHaveLength(4);
  expect(page).not.toMatch(/NaN|undefined|Infinity/);
});
