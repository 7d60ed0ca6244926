/** A report as a comparison makes it, with figures that are made up. */

import type { ModelReport, Report } from '../../src/compare/report.ts';

const DIGEST = 'f'.repeat(64);
const CLASSES = ['cat', 'dog', '<b>bird</b>'];

export function exampleModel(name: string, fields: Partial<ModelReport> = {}): ModelReport {
  return {
    name,
    kind: 'technique',
    steps: ['Conv conv1: int8 weights'],
    sha256: DIGEST,
    bytes: 4_000_000,
    quality: {
      rows: 100,
      failed: 0,
      accuracy: 0.8,
      perClass: [0.7, 0.9, 0.8],
      agreement: 0.99,
      flips: {
        count: 1,
        shown: [
          {
            row: 7,
            name: 'cat/<img src=x onerror=alert(1)>.png',
            label: 'cat',
            base: { class: 0, name: 'cat', value: 0.4 },
            candidate: { class: 1, name: 'dog', value: 0.5 },
          },
        ],
      },
      maxAbs: 0.03,
      meanAbs: 0.001,
    },
    rowIndependence: { verdict: 'independent', rows: 64, max: 0, changed: 0 },
    speed: [1, 8, 32].map((batch) => ({
      batch,
      itemsPerSecond: { median: 1000 + batch * 10, min: 900, max: 2000 },
      ratio: { median: 2.5, min: 2, max: 3 },
    })),
    latency: { runs: 300, p50Ms: 1, p99Ms: 2 },
    loadMs: 300,
    memoryBytes: 100_000_000,
    operators: { 'com.microsoft.QLinearConv': 2, Softmax: 1 },
    gates: [{ gate: 'runs', passed: true, reason: 'it answered all 100 rows' }],
    passed: true,
    ...fields,
  };
}

export function exampleReport(fields: Partial<Report> = {}): Report {
  const base = exampleModel('version 1', { kind: 'base', bytes: 16_000_000, gates: [] });
  const failed = { gate: 'max-drop', passed: false, reason: 'it lost 3 points of accuracy' } as const;
  return {
    schema: 'tensorgate.compress/1',
    created: '2026-11-28T00:00:00.000Z',
    tensorgate: '0.1.0',
    command: 'tensorgate compress m --to int8',
    machine: {
      cpu: 'a processor',
      cores: 2,
      instructionSet: 'x64 avx2',
      flags: ['avx2'],
      memoryBytes: 1e9,
      system: 'Linux',
      node: '24.0.0',
      onnxRuntime: '1.30.0',
      threads: 1,
      loadAverage: [1, 2],
    },
    model: { name: 'm', version: '1', output: 'probabilities', classes: CLASSES },
    data: { source: 'labelled/', rows: 100, kind: 'labelled' },
    base: { ...base, quality: { ...base.quality, agreement: 1, flips: { count: 0, shown: [] } } },
    candidates: [exampleModel('int8'), exampleModel('student', { gates: [failed], passed: false })],
    notMade: [{ name: 'rank:9000', reason: 'no matrix is that large' }],
    ...fields,
  };
}
