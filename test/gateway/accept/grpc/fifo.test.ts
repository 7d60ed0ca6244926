import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fifo } from '../../../../src/gateway/accept/grpc/fifo.ts';

const step = fc.constantFrom('push', 'push', 'push', 'shift', 'shift', 'replaceFirst', 'clear' as const);

test('a queue gives what an array would, whatever is done to it', () => {
  // Most are long enough to be compacted now and then.
  const steps = fc.array(fc.tuple(step, fc.nat(300)), { maxLength: 30 });
  fc.assert(
    fc.property(steps, (all) => {
      const queue = new Fifo<number>();
      const model: number[] = [];
      let next = 0;
      for (const [what, times] of all) {
        if (what === 'clear' && times > 0) continue;
        for (let time = 0; time <= times; time++) {
          if (what === 'push') {
            queue.push(next);
            model.push(next++);
          } else if (what === 'shift') {
            expect(queue.shift()).toBe(model.shift());
          } else if (what === 'replaceFirst' && model.length > 0) {
            queue.replaceFirst(next);
            model[0] = next++;
          } else if (what === 'clear') {
            queue.clear();
            model.length = 0;
          }
          expect([queue.length, queue.first]).toEqual([model.length, model[0]]);
        }
      }
    }),
    { numRuns: 60 },
  );
});
