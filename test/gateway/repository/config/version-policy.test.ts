import { expect, test } from 'vitest';
import { chooseVersions } from '../../../../src/gateway/repository/config/version-policy.ts';

const VERSIONS = ['1', '2', '5', '10'];

test.each([
  { policy: { all: {} }, chosen: ['1', '2', '5', '10'] },
  { policy: { latest: { num_versions: 1 } }, chosen: ['10'] },
  { policy: { latest: { num_versions: 3 } }, chosen: ['2', '5', '10'] },
  { policy: { latest: { num_versions: 9 } }, chosen: ['1', '2', '5', '10'] },
  { policy: { specific: { versions: ['5', '1'] } }, chosen: ['1', '5'] },
  { policy: { specific: { versions: ['10', '10', '7'] } }, chosen: ['10'] },
  { policy: { specific: { versions: ['7'] } }, chosen: [] },
])('$policy of 1, 2, 5 and 10: $chosen', ({ policy, chosen }) => {
  expect(chooseVersions(VERSIONS, policy)).toEqual(chosen);
});
