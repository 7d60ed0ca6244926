import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readPublished } from '../../../src/gateway/repository/version-report.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const DIGEST = 'a'.repeat(64);
const PUBLISHED = {
  candidate: 'int8',
  version: '2',
  sha256: DIGEST,
  base: { version: '1', sha256: DIGEST },
  expect: { rows: 100, agreement: 0.99, maxAbs: 0.04, errorRate: 0, latencyRatio: 0.3, p99Ratio: 0.4 },
};

function versionWith(report: object | string): string {
  const directory = temporaryDirectory();
  fs.writeFileSync(path.join(directory, 'report.json'), typeof report === 'string' ? report : JSON.stringify(report));
  return directory;
}

test('a version without a report has no expectations', async () => {
  expect(await readPublished(temporaryDirectory())).toBeUndefined();
  expect(await readPublished(versionWith({ schema: 'tensorgate.compress/1' }))).toBeUndefined();
});

test('the settings of its publication are read, for any other content of the report', async () => {
  const report = { schema: 'tensorgate.compress/1', machine: { cpu: 'any' }, published: PUBLISHED };
  expect(await readPublished(versionWith(report))).toEqual(PUBLISHED);
});

test.each([
  ['{', /report\.json:1:\d+: /],
  [{ schema: 'other' }, /report\.json:1:\d+: schema: /],
  [
    { schema: 'tensorgate.compress/1', published: { ...PUBLISHED, expect: { ...PUBLISHED.expect, agreement: 2 } } },
    /published\.expect\.agreement: /,
  ],
])('a report that cannot be used is an error that says where: %j', async (report, text) => {
  await expect(readPublished(versionWith(report))).rejects.toThrow(text);
});
