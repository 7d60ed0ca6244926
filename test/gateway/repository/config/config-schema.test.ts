import { expect, test } from 'vitest';
import { modelConfigMessage } from '../../../../src/gateway/repository/config/config-pbtxt.ts';
import { modelConfigSchema } from '../../../../src/gateway/repository/config/config-schema.ts';

test('schema/config.schema.json says to editors what a configuration may be (run with --update to write it)', async () => {
  const text = `${JSON.stringify(modelConfigSchema(), undefined, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../../../schema/config.schema.json');
});

test("it has every field of Triton's configuration, and one of our own", () => {
  const { properties } = modelConfigSchema() as { properties: object };
  expect(Object.keys(properties).sort()).toEqual([...Object.keys(modelConfigMessage().fields), 'tensorgate'].sort());
});
