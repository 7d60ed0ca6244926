import { expect, test } from 'vitest';
import { reportSchema } from '../../src/compare/report.ts';

test('schema/report.schema.json says what a report is (run with --update to write it)', async () => {
  await expect(`${JSON.stringify(reportSchema(), undefined, 2)}\n`).toMatchFileSnapshot(
    '../../schema/report.schema.json',
  );
});
