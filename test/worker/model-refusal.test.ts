import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { describeRefusal } from '../../src/worker/model-refusal.ts';
import { lowerCaseModel } from '../support/onnx-models.ts';

const { InferenceSession } = createRequire(import.meta.url)('onnxruntime-node') as typeof import('onnxruntime-node');

function refusalOf(model: Uint8Array): Promise<string> {
  return InferenceSession.create(model, { logSeverityLevel: 4 }).then(
    () => 'opened',
    (error: unknown) => describeRefusal(error),
  );
}

test('a model that needs a missing locale is refused with its name, and the commands that install it', async () => {
  // No system has this one.
  expect(await refusalOf(lowerCaseModel('xx_YY.UTF-8'))).toBe(
    "a StringNormalizer of the model needs the locale 'xx_YY.UTF-8', which this system does not have: install it (Debian, Ubuntu: apt-get install locales && localedef -i xx_YY -f UTF-8 xx_YY.UTF-8), or set the attribute locale of that node to C.UTF-8 (docs/export.md)",
  );
  expect(await refusalOf(lowerCaseModel('english'))).toContain(
    "needs the locale 'english', which this system does not have: install it, or set",
  );
});

test('a model with a locale that the system has is opened', async () => {
  expect(await refusalOf(lowerCaseModel('C'))).toBe('opened');
});

test('another text of ONNX Runtime stays as it is', () => {
  expect(describeRefusal(new Error('Load model failed: something'))).toBe('Load model failed: something');
});
