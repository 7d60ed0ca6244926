/** How far the requests of an ensemble are: for each step, the rows that are still to come to it. */

export interface EnsembleProgress {
  readonly rows: number;
  /** By step: it is needed, and has not ended. */
  readonly unended: readonly boolean[];
  start(step: number): void;
  end(step: number): void;
  /** No further step starts. */
  leave(): void;
}

export class StepsInFlight {
  /** How often a request has started or ended a step. */
  changes = 0;
  /** By step: rows of the requests that need it and have not started it. */
  readonly #toCome: number[];
  /** By step: rows of the requests that have started it, and have not ended it. */
  readonly #inStep: number[];
  /** By step that has ended, by step that is needed and has not started. */
  readonly #between: number[][];

  constructor(steps: number) {
    const none = (): number[] => Array.from({ length: steps }, () => 0);
    this.#toCome = none();
    this.#inStep = none();
    this.#between = Array.from({ length: steps }, none);
  }

  toCome(step: number): number {
    return this.#toCome[step] ?? 0;
  }

  inStep(step: number): number {
    return this.#inStep[step] ?? 0;
  }

  /** Rows that have ended one step, and are still to come to another. */
  between(ended: number, step: number): number {
    return this.#between[ended]?.[step] ?? 0;
  }

  enter(rows: number, needed: readonly boolean[]): EnsembleProgress {
    const unended = [...needed];
    const unstarted = new Set(needed.flatMap((isNeeded, step) => (isNeeded ? [step] : [])));
    const ended: number[] = [];
    const forget = (step: number): void => {
      unstarted.delete(step);
      this.#add(step, ended, -rows);
    };
    for (const step of unstarted) this.#add(step, ended, rows);
    return {
      rows,
      unended,
      start: (step) => {
        forget(step);
        this.#inStep[step] = this.inStep(step) + rows;
      },
      end: (step) => {
        unended[step] = false;
        ended.push(step);
        this.#inStep[step] = this.inStep(step) - rows;
        for (const other of unstarted) this.#addBetween(step, other, rows);
        this.changes++;
      },
      leave: () => {
        for (const step of unstarted) forget(step);
      },
    };
  }

  #add(step: number, ended: readonly number[], rows: number): void {
    this.#toCome[step] = this.toCome(step) + rows;
    for (const before of ended) this.#addBetween(before, step, rows);
    this.changes++;
  }

  #addBetween(before: number, step: number, rows: number): void {
    const row = this.#between[before];
    if (row !== undefined) row[step] = (row[step] ?? 0) + rows;
  }
}
