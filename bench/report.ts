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

/** Takes a figure of each subject in each round, in turns: otherwise the last would always meet the warmer machine. */
export async function inTurns<Name extends string, Subject, Figure = number>(
  rounds: number,
  subjects: Readonly<Record<Name, Subject>>,
  measure: (subject: Subject) => Promise<Figure>,
): Promise<Readonly<Record<Name, readonly Figure[]>>> {
  const names = Object.keys(subjects) as Name[];
  const figures = Object.fromEntries(names.map((name) => [name, [] as Figure[]])) as Record<Name, Figure[]>;
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) figures[name].push(await measure(subjects[name]));
  }
  return figures;
}

/** Figures of the same rounds, divided. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN));
}

export function heading(text: string): void {
  console.log(`\n${text}`);
}
