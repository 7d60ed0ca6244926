import { expect, test } from 'vitest';
import { type GateLimits, judge } from '../../src/compare/gates.ts';
import type { ModelReport } from '../../src/compare/report.ts';

type Judged = Parameters<typeof judge>[0];

function judged({
  accuracy,
  verdict = 'independent',
  ...fields
}: {
  accuracy?: number;
  failed?: number;
  agreement?: number;
  bytes?: number;
  verdict?: ModelReport['rowIndependence']['verdict'];
  embedding?: ModelReport['quality']['embedding'];
} = {}): Judged {
  const { failed = 0, agreement = 1, bytes = 100, embedding } = fields;
  return {
    quality: {
      rows: 100 - failed,
      failed,
      ...(failed > 0 && { failure: 'no kernel' }),
      ...(accuracy !== undefined && { accuracy }),
      agreement,
      ...(embedding !== undefined && { embedding }),
      flips: { count: 0, shown: [] },
      maxAbs: 0,
      meanAbs: 0,
    },
    rowIndependence: { verdict, rows: 0, max: 0, changed: 0, ...(verdict === 'dependent' && { reason: 'they mix' }) },
    bytes,
  };
}

function failures(candidate: Judged, base: Judged, limits: GateLimits = {}): string[] {
  return judge(candidate, base, limits).flatMap(({ gate, passed, reason }) => (passed ? [] : [`${gate}: ${reason}`]));
}

test('a candidate that answers, and whose rows are independent, passes where nothing else is asked', () => {
  expect(failures(judged(), judged())).toEqual([]);
});

test('one that cannot answer some row fails, with the reason', () => {
  expect(failures(judged({ failed: 3 }), judged())).toEqual(['runs: it could not answer 3 of 100 rows: no kernel']);
});

test('rows that mix are a failure, unless they mix in the base too', () => {
  const mixed = judged({ verdict: 'dependent' });
  expect(failures(mixed, judged())[0]).toContain('rows: the answer to a row depends on the rows beside it: they mix');
  expect(failures(mixed, mixed)).toEqual([]);
  expect(failures(judged({ verdict: 'unbatched' }), judged())).toEqual([]);
});

test.each([
  { base: 0.817, own: 0.812, passes: true },
  { base: 0.817, own: 0.8119, passes: false },
  { base: 0.817, own: 0.83, passes: true },
])('the allowed loss of accuracy decides: $base -> $own', ({ base, own, passes }) => {
  const found = failures(judged({ accuracy: own }), judged({ accuracy: base }), { maxDrop: 0.5 });
  expect(found.length === 0).toBe(passes);
});

test('without labels there is no accuracy to pass with', () => {
  expect(failures(judged(), judged(), { maxDrop: 0.5 })).toEqual([
    'max-drop: there is no accuracy without labelled data',
  ]);
});

test('agreement and bytes are held to their limits', () => {
  const limits = { minAgreement: 0.98, maxBytes: 99 };
  expect(failures(judged({ agreement: 0.9799 }), judged(), limits)).toEqual([
    'min-agreement: 97.99 % agree; at least 98 % of the answers of the base were wanted',
    'max-bytes: it has 100 bytes; at most 99 were wanted',
  ]);
  expect(failures(judged({ agreement: 0.98, bytes: 99 }), judged(), limits)).toEqual([]);
});

test('vectors have to be near the vectors of the base, and to keep their neighbours', () => {
  const embedding = { output: 'v', meanCosine: 0.99, worstCosine: 0.97, neighbours: 10, neighboursKept: 0.92 };
  const limits = { minCosine: 0.97, minNeighbours: 0.92 };
  expect(failures(judged({ embedding }), judged(), limits)).toEqual([]);
  expect(failures(judged({ embedding }), judged(), { minCosine: 0.98, minNeighbours: 0.95 })).toEqual([
    'min-cosine: 99 of 100 vectors have a cosine of at least 0.9700 with the base; at least 0.98 was wanted',
    'min-neighbours: 92 % of the 10 nearest rows are kept; at least 95 % were wanted',
  ]);
  const none = 'no vectors were compared: name the output that is a vector with --embedding';
  expect(failures(judged(), judged(), limits)).toEqual([`min-cosine: ${none}`, `min-neighbours: ${none}`]);
});
