import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StepsInFlight } from '../../../../src/gateway/models/ensemble/steps-in-flight.ts';

const STEPS = 4;

test('rows are counted where their requests are, and nothing stays of requests that have left, however far they came', () => {
  const request = fc.record({
    rows: fc.integer({ min: 1, max: 9 }),
    needed: fc.array(fc.boolean(), { minLength: STEPS, maxLength: STEPS }),
    /** How many of its needed steps it starts; the last of them is still running when it leaves, where this is odd. */
    starts: fc.nat(STEPS),
  });
  fc.assert(
    fc.property(fc.array(request, { maxLength: 8 }), (requests) => {
      const inFlight = new StepsInFlight(STEPS);
      const on = requests.map(({ rows, needed, starts }) => {
        const progress = inFlight.enter(rows, needed);
        const steps = needed.flatMap((isNeeded, step) => (isNeeded ? [step] : []));
        const started = steps.slice(0, starts);
        const running = started.length % 2 === 1 ? started.at(-1) : undefined;
        for (const step of started) {
          progress.start(step);
          if (step !== running) progress.end(step);
        }
        const ended = started.filter((step) => step !== running);
        expect(progress.unended).toEqual(needed.map((isNeeded, step) => isNeeded && !ended.includes(step)));
        return { progress, rows, ended, running, toCome: steps.slice(starts) };
      });
      const sum = (counts: (one: (typeof on)[number]) => boolean): number =>
        on.filter(counts).reduce((rows, one) => rows + one.rows, 0);
      for (let step = 0; step < STEPS; step++) {
        expect(inFlight.toCome(step)).toBe(sum(({ toCome }) => toCome.includes(step)));
        expect(inFlight.inStep(step)).toBe(sum(({ running }) => running === step));
        for (let other = 0; other < STEPS; other++) {
          const between = sum(({ ended, toCome }) => ended.includes(step) && toCome.includes(other));
          expect(inFlight.between(step, other)).toBe(between);
        }
      }
      for (const { progress, running } of on) {
        progress.leave();
        if (running !== undefined) progress.end(running);
      }
      for (let step = 0; step < STEPS; step++) {
        expect([inFlight.toCome(step), inFlight.inStep(step)]).toEqual([0, 0]);
        for (let other = 0; other < STEPS; other++) expect(inFlight.between(step, other)).toBe(0);
      }
    }),
  );
});
