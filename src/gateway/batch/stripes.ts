/** Copies every n-th stripe of bytes: rows that are not on axis 0 interleave with the rows of other requests. */

/** A loop moves stripes of fewer bytes faster than one call each; a tensor may need millions. */
const SHORT_RUN = 64;

interface Runs {
  readonly bytes: Uint8Array;
  /** Where the first run begins. */
  readonly offset: number;
  /** Distance between the starts of two stripes. */
  readonly stride: number;
}

export function copyRuns(from: Runs, to: Runs, width: number, count: number): void {
  let source = from.offset;
  let target = to.offset;
  for (let run = 0; run < count; run++) {
    if (width > SHORT_RUN) to.bytes.set(from.bytes.subarray(source, source + width), target);
    else for (let i = 0; i < width; i++) to.bytes[target + i] = from.bytes[source + i] as number;
    source += from.stride;
    target += to.stride;
  }
}
