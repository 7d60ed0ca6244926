export type Verdict = 'passed' | 'failed' | 'skipped';

/** How many were seen to hold, and how many not. */
export class Score {
  readonly #counts: Record<Verdict, number> = { passed: 0, failed: 0, skipped: 0 };

  count(verdict: Verdict): void {
    this.#counts[verdict] += 1;
  }

  get failed(): number {
    return this.#counts.failed;
  }

  /** The closing line of a run. */
  toString(): string {
    const { passed, failed, skipped } = this.#counts;
    return `${passed} passed, ${failed} failed, ${skipped} skipped`;
  }
}
