/**
 * The results of `tensorgate compress` about a version: `report.json` beside its model. Only these parts of the whole report
 * (`src/compare/report.ts`) matter to a server or a rollout.
 */

import path from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../error-message.ts';
import { parseJson } from './config/json-document.ts';
import { ModelConfigError } from './config/model-config.ts';
import { readText } from './disk.ts';

export const REPORT_SCHEMA = 'tensorgate.compress/1';
export const REPORT_FILE = 'report.json';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits');

/** Expected agreement with the version that it was made from. */
export const EXPECTATIONS = z.strictObject({
  rows: z.int().min(1).describe('Rows of data that both versions answered.'),
  agreement: z
    .number()
    .min(0)
    .max(1)
    .describe('Share of them whose largest element has the same place; of outputs without such rows, that are close.'),
  maxAbs: z.number().min(0).describe('Largest difference of an element over those rows.'),
  errorRate: z.number().min(0).max(1).describe('Share of the rows that the version could not answer.'),
  latencyRatio: z
    .number()
    .gt(0)
    .describe('Median time of one row inside ONNX Runtime, as a share of the other version’s.'),
  p99Ratio: z.number().gt(0).describe('The same of the 99th percentile.'),
});

export type Expectations = Readonly<z.output<typeof EXPECTATIONS>>;

export const PUBLISHED = z.strictObject({
  candidate: z.string().describe('The name that it has in this report.'),
  version: z.string().describe('Version of the model under which it was published.'),
  sha256: sha256.describe('SHA-256 of its model file.'),
  base: z
    .strictObject({ version: z.string(), sha256 })
    .describe('The version that it was made from and compared with.'),
  expect: EXPECTATIONS.describe('How it is to compare with its base.'),
});

export type Published = Readonly<z.output<typeof PUBLISHED>>;

const REPORT = z.looseObject({ schema: z.literal(REPORT_SCHEMA), published: PUBLISHED.optional() });

/**
 * @param versionDirectory `<repository>/<model>/<version>`
 * @returns undefined where the version has no report, or one that does not publish it.
 * @throws ModelConfigError where there is one that cannot be used; the text says where.
 */
export async function readPublished(versionDirectory: string): Promise<Published | undefined> {
  const file = path.join(versionDirectory, REPORT_FILE);
  let text: string;
  try {
    text = await readText(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ModelConfigError(`${file} cannot be read: ${messageOf(error)}`);
  }
  const parsed = parseJson(text, file, REPORT);
  if (parsed.kind === 'problems') throw new ModelConfigError(parsed.problems);
  return parsed.value.published;
}
