/** How figures are summed up and printed. */

/** Runs one group of figures and prints it; `scratch` is an empty directory to make models in. */
export type Bench = (scratch: string, rounds: number) => Promise<void>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The value that a `share` of all does not pass. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** `median (least-most)`. */
export function spread(values: readonly number[], digits: number): string {
  const show = (value: number): string => value.toFixed(digits);
  return `${show(median(values))} (${show(Math.min(...values))}-${show(Math.max(...values))})`;
}

/** Figures of ours and of what they are compared with, a pair for each round. */
export interface Pairs {
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** Takes both figures of each round, in turns: otherwise the second would always meet the warmer machine. */
export async function inPairs<Subject>(
  rounds: number,
  subjects: { readonly ours: Subject; readonly theirs: Subject },
  measure: (subject: Subject) => Promise<number>,
): Promise<Pairs> {
  const pairs = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const whose of round % 2 === 0 ? (['theirs', 'ours'] as const) : (['ours', 'theirs'] as const)) {
      pairs[whose].push(await measure(subjects[whose]));
    }
  }
  return pairs;
}

/** Pairs of figures of the same round, divided. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN));
}

export function heading(text: string): void {
  console.log(`\n${text}`);
}
