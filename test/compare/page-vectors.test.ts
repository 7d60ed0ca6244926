import { expect, test } from 'vitest';
import { renderPage } from '../../src/compare/page/page.ts';
import { exampleModel, exampleReport } from '../support/example-report.ts';

test('the page of an encoder says how near its vectors are, in place of answers', () => {
  const embedding = { output: 'v', meanCosine: 0.9971, worstCosine: 0.9959, neighbours: 10, neighboursKept: 0.9455 };
  const { quality } = exampleModel('int8');
  const { accuracy: _, perClass: __, ...rest } = quality;
  const vectors = { ...rest, embedding, flips: { count: 0, shown: [] } };
  const page = renderPage(
    exampleReport({
      base: exampleModel('version 1', { kind: 'base', quality: vectors }),
      candidates: [exampleModel('int8', { quality: vectors })],
    }),
    new Map(),
  );
  expect(page).toContain('a mean cosine of 0.9971, and 94.55 % of the nearest neighbours kept');
  expect(page).toContain('cosine 0.9971<small>0.9959 in the worst of a hundred</small>');
  expect(page).toContain('94.55 % of the 10 nearest rows kept');
  expect(page).toContain('Vectors have no classes');
  expect(page).not.toContain('of the answers the same');
});
