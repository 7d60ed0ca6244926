import { expect, test } from 'vitest';
import { documentSettings } from '../../../src/gateway/ops/settings-document.ts';

test('docs/configuration.md says what the settings are (run with --update to write it)', async () => {
  await expect(documentSettings()).toMatchFileSnapshot('../../../docs/configuration.md');
});
