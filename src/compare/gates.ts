/** Whether a candidate may take the place of the base. */

import type { Gate, ModelReport } from './report.ts';

export interface GateLimits {
  /** Points of accuracy that may be lost: 0.5 is from 81.7 % to 81.2 %. */
  readonly maxDrop?: number | undefined;
  /** Least share of rows that are answered as the base does, from 0 to 1. */
  readonly minAgreement?: number | undefined;
  /** Least cosine with the base that 99 of 100 vectors have. */
  readonly minCosine?: number | undefined;
  /** Least share of nearest neighbours that are kept, from 0 to 1. */
  readonly minNeighbours?: number | undefined;
  readonly maxBytes?: number | undefined;
}

type Judged = Pick<ModelReport, 'quality' | 'rowIndependence' | 'bytes'>;

/** Every gate, with what it wanted and what came. The first two are there for every candidate. */
export function judge(candidate: Judged, base: Judged, limits: GateLimits): Gate[] {
  const { quality, rowIndependence, bytes } = candidate;
  const gates: Gate[] = [
    {
      gate: 'runs',
      passed: quality.failed === 0,
      reason:
        quality.failed === 0
          ? `it answered all ${quality.rows} rows`
          : `it could not answer ${quality.failed} of ${quality.failed + quality.rows} rows: ${quality.failure}`,
    },
    judgeRows(rowIndependence, base.rowIndependence),
  ];
  const { maxDrop, minAgreement, minCosine, minNeighbours, maxBytes } = limits;
  if (maxDrop !== undefined) gates.push(judgeDrop(quality.accuracy, base.quality.accuracy, maxDrop));
  if (minAgreement !== undefined) {
    const wanted = `at least ${percent(minAgreement)} of the answers of the base were wanted`;
    const passed = quality.rows > 0 && quality.agreement >= minAgreement;
    gates.push({ gate: 'min-agreement', passed, reason: `${percent(quality.agreement)} agree; ${wanted}` });
  }
  const { embedding } = quality;
  if (minCosine !== undefined) {
    const passed = embedding !== undefined && embedding.worstCosine >= minCosine;
    const found = embedding && `99 of 100 vectors have a cosine of at least ${embedding.worstCosine.toFixed(4)}`;
    const reason = found && `${found} with the base; at least ${minCosine} was wanted`;
    gates.push({ gate: 'min-cosine', passed, reason: reason ?? NO_VECTORS });
  }
  if (minNeighbours !== undefined) {
    const passed = embedding !== undefined && embedding.neighboursKept >= minNeighbours;
    const found =
      embedding && `${percent(embedding.neighboursKept)} of the ${embedding.neighbours} nearest rows are kept`;
    const reason = found && `${found}; at least ${percent(minNeighbours)} were wanted`;
    gates.push({ gate: 'min-neighbours', passed, reason: reason ?? NO_VECTORS });
  }
  if (maxBytes !== undefined) {
    const reason = `it has ${bytes} bytes; at most ${maxBytes} were wanted`;
    gates.push({ gate: 'max-bytes', passed: bytes <= maxBytes, reason });
  }
  return gates;
}

const NO_VECTORS = 'no vectors were compared: name the output that is a vector with --embedding';

function judgeRows(own: Judged['rowIndependence'], base: Judged['rowIndependence']): Gate {
  const gate = 'rows';
  switch (own.verdict) {
    case 'unbatched':
      return { gate, passed: true, reason: 'it takes one request a run' };
    case 'independent':
      return { gate, passed: true, reason: 'the answer to a row does not depend on the rows beside it' };
    case 'dependent': {
      const reason = `the answer to a row depends on the rows beside it: ${own.reason}`;
      if (base.verdict === 'dependent') return { gate, passed: true, reason: `${reason}; so it does in the base` };
      return { gate, passed: false, reason: `${reason}; a server would not batch it` };
    }
  }
}

function judgeDrop(own: number | undefined, base: number | undefined, maxDrop: number): Gate {
  const gate = 'max-drop';
  if (own === undefined || base === undefined) {
    return { gate, passed: false, reason: 'there is no accuracy without labelled data' };
  }
  const drop = (base - own) * 100;
  // 81.7 - 81.2 is not 0.5 in binary.
  const passed = drop <= maxDrop + 1e-9;
  const lost = drop > 0 ? `lost ${drop.toFixed(2)} points` : `gained ${(-drop).toFixed(2)} points`;
  return { gate, passed, reason: `it ${lost} of accuracy; at most ${maxDrop} to lose were allowed` };
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}
