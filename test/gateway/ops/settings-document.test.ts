import { expect, test } from 'vitest';
import { documentSettings, settingsSchema } from '../../../src/gateway/ops/settings-document.ts';

test('docs/configuration.md says what the settings are (run with --update to write it)', async () => {
  await expect(documentSettings()).toMatchFileSnapshot('../../../docs/configuration.md');
});

test('schema/tensorgate.schema.json says the same to editors (run with --update to write it)', async () => {
  const schema = settingsSchema();
  await expect(`${JSON.stringify(schema, undefined, 2)}\n`).toMatchFileSnapshot(
    '../../../schema/tensorgate.schema.json',
  );
  expect(schema).not.toHaveProperty('required');
  expect(schema).toHaveProperty('properties.modelRepository.description');
});
