/** The extent of a proof by running: how much it compared, and how far answers were apart. */
export class Tally {
  /** Rows whose answers were compared: run beside others, and by themselves. */
  rows = 0;
  /** The largest difference of two answers, as a share of the largest magnitude in the output (at least 1). */
  largestDifference = 0;

  note(difference: number): void {
    this.largestDifference = Math.max(this.largestDifference, difference);
  }
}
