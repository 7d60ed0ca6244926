/** Copying every n-th run of bytes: rows that do not lie on axis 0 are interrupted by those of the others. */

/** Runs of fewer bytes are moved faster by a loop than by a call for each, of which a tensor may need millions. */
const SHORT_RUN = 64;

interface Runs {
  readonly bytes: Uint8Array;
  /** Where the first run begins. */
  readonly offset: number;
  /** From the beginning of a run to that of the next. */
  readonly stride: number;
}

/** Copies `count` runs of `width` bytes each. */
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
