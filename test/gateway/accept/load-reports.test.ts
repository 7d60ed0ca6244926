import { describe, expect, test } from 'vitest';
import { LoadReports, type ReportPolicy } from '../../../src/gateway/accept/load-reports.ts';
import type { LoadReport } from '../../../src/wire/load-report.ts';
import { FakeCall } from '../../support/fake-call.ts';
import { decodeReport } from '../../support/orca.ts';

function callAsking(format: string | undefined): FakeCall {
  return new FakeCall(Number.POSITIVE_INFINITY, format === undefined ? {} : { 'endpoint-load-metrics-format': format });
}

const REPORT: LoadReport = { applicationUtilization: 0.25, rpsFractional: 12.5, eps: 0 };

function trailers(policy: ReportPolicy, asked: string | undefined, report: LoadReport | undefined = REPORT) {
  return new LoadReports(policy, { report }).trailersFor(callAsking(asked));
}

describe('a report comes', () => {
  test.each<[ReportPolicy, string | undefined, string | undefined]>([
    ['off', undefined, undefined],
    ['off', 'bin', undefined],
    ['as-requested', undefined, undefined],
    ['as-requested', 'bin', 'endpoint-load-metrics-bin'],
    ['as-requested', 'BIN', 'endpoint-load-metrics-bin'],
    ['as-requested', 'text', 'endpoint-load-metrics'],
    ['as-requested', 'JSON', 'endpoint-load-metrics'],
    ['as-requested', 'xml', undefined],
    ['always', undefined, 'endpoint-load-metrics-bin'],
    ['always', 'text', 'endpoint-load-metrics'],
  ])('where the policy is %s and the caller asks for %s, in %s', (policy, asked, key) => {
    expect(Object.keys(trailers(policy, asked) ?? {})).toEqual(key === undefined ? [] : [key]);
  });

  test('not before there is something to report', () => {
    expect(new LoadReports('always', { report: undefined }).trailersFor(callAsking('bin'))).toBeUndefined();
  });
});

test('it says the same in all forms', () => {
  const fields = { application_utilization: 0.25, rps_fractional: 12.5, eps: 0 };
  const bytes = trailers('as-requested', 'bin')?.['endpoint-load-metrics-bin'] as Uint8Array;
  expect(decodeReport(bytes)).toMatchObject(fields);
  const json = String(trailers('as-requested', 'json')?.['endpoint-load-metrics']);
  expect(JSON.parse(json.replace(/^JSON /, ''))).toEqual(fields);
  expect(trailers('as-requested', 'text')).toEqual({
    'endpoint-load-metrics': 'TEXT application_utilization=0.25, rps_fractional=12.5, eps=0',
  });
});

test('it is encoded once, until there is another', () => {
  const source = { report: REPORT };
  const reports = new LoadReports('always', source);
  const first = reports.trailersFor(callAsking(undefined));
  expect(reports.trailersFor(callAsking('bin'))).toBe(first);
  source.report = { ...REPORT, eps: 1 };
  const second = reports.trailersFor(callAsking(undefined));
  expect(second).not.toEqual(first);
});
