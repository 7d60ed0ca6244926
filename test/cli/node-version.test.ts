import { expect, test } from 'vitest';
import { isSupportedNode } from '../../src/cli/node-version.ts';

const RANGE = '^22.15.0 || ^24.0.0 || ^26.0.0';

test.each(['22.15.0', '22.15.1', '22.20.0', '24.0.0', '24.21.3', '26.1.0'])('Node %s is supported', (version) => {
  expect(isSupportedNode(version, RANGE)).toBe(true);
});

test.each(['18.20.0', '20.20.2', '22.14.9', '22.5.9', '23.11.0', '25.0.0', '27.0.0'])('Node %s is not', (version) => {
  expect(isSupportedNode(version, RANGE)).toBe(false);
});
