import { expect, test } from 'vitest';
import { checkRules } from '../../../../src/gateway/repository/config/config-rules.ts';
import { MODEL_CONFIG } from '../../../../src/gateway/repository/config/model-config.ts';
import { stepFilesOf, stepOf } from '../../../../src/gateway/repository/config/step-schema.ts';

const platform = 'tensorgate_tokenizer';

test('a tokenizer that decodes is a step of its own, with the same file', () => {
  const step = stepOf(MODEL_CONFIG.parse({ platform, tensorgate: { tokenizer: { decode: true } } }));
  expect(step).toEqual({ kind: 'detokenizer' });
  expect(step && stepFilesOf(step)).toEqual(['tokenizer.json']);
});

test.each([
  ['max_length', 5],
  ['truncation', 'truncate'],
  ['pair', false],
  ['special_tokens_in_text', true],
  ['max_text_bytes', 9],
])('a tokenizer that decodes has no %s', (field, value) => {
  const problemsOf = (decode: boolean): readonly string[] => {
    const content = { platform, tensorgate: { tokenizer: { decode, [field]: value } } };
    const { problems } = checkRules(MODEL_CONFIG.parse(content), { content, isTritons: false, isClients: false });
    return problems.map(({ text }) => text);
  };
  expect(problemsOf(true)).toEqual([`${field} has no meaning with decode: remove it`]);
  expect(problemsOf(false)).toEqual([]);
});
