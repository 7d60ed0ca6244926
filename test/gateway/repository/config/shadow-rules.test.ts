import { expect, test } from 'vitest';
import { checkRules } from '../../../../src/gateway/repository/config/config-rules.ts';
import { MODEL_CONFIG } from '../../../../src/gateway/repository/config/model-config.ts';

const STEP = { model_name: 'a', input_map: { x: 'x' }, output_map: { y: 'y' } };

test.each([
  ['an ensemble', { platform: 'ensemble', ensemble_scheduling: { step: [STEP] } }, 'an ensemble cannot have a shadow'],
  ['a model with sequences', { sequence_batching: {} }, 'a model with sequence_batching cannot have a shadow'],
])('%s cannot have a shadow', (_what, content, text) => {
  const problemsOf = (tensorgate: object): string[] => {
    const all = { ...content, tensorgate };
    const { problems } = checkRules(MODEL_CONFIG.parse(all), { content: all, isTritons: false, isClients: false });
    return problems.map(({ text }) => text);
  };
  expect(problemsOf({ traffic: { shadow: { version: 2 } } })).toContainEqual(expect.stringContaining(text));
  expect(problemsOf({}).join()).not.toContain('shadow');
});
