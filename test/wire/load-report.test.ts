import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeLoadReport } from '../../src/wire/load-report.ts';
import { decodeReport, encodeReport } from '../support/orca.ts';

const figure = fc.double({ min: 0, noNaN: true });

test('a report reads in the definition of cncf/xds as it was, and is the bytes of protobufjs', () => {
  fc.assert(
    fc.property(figure, figure, figure, (applicationUtilization, rpsFractional, eps) => {
      const bytes = encodeLoadReport({ applicationUtilization, rpsFractional, eps });
      const fields = { rps_fractional: rpsFractional, eps, application_utilization: applicationUtilization };
      expect(decodeReport(bytes)).toMatchObject(fields);
      const set = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== 0));
      expect(Buffer.from(bytes)).toEqual(encodeReport(set));
    }),
  );
});

test('it has at most 27 bytes, and none where there is nothing to report', () => {
  expect(encodeLoadReport({ applicationUtilization: 0.7, rpsFractional: 1e6, eps: 3 })).toHaveLength(27);
  expect(encodeLoadReport({ applicationUtilization: 0, rpsFractional: 0, eps: 0 })).toHaveLength(0);
});
