/** `npm run fuzz -- --cases 1000000`: the long form of fuzz.test.ts. Ends with 1, and the command that repeats it, where a case fails. */

import { Command, InvalidArgumentError } from 'commander';
import { FuzzFailure, fuzz, KINDS } from './fuzz.ts';

const PROGRESS_MS = 10_000;

function count(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('a whole number is expected');
  return number;
}

function kindOf(name: string): string {
  if (!(name in KINDS)) throw new InvalidArgumentError(`one of these is expected: ${Object.keys(KINDS).join(', ')}`);
  return name;
}

const program = new Command('fuzz')
  .description('Throws changed sessions of real clients, and header blocks, at the HTTP/2 transport.')
  .option('--cases <count>', 'how many', count, 100_000)
  .option('--seed <number>', 'repeats a run', count, Date.now() % 1_000_000)
  .option('--from <number>', 'number of the first case', count, 0)
  .option('--kind <name>', `all of one kind: ${Object.keys(KINDS).join(', ')}`, kindOf)
  .parse();

const plan = program.opts<{ cases: number; seed: number; from: number; kind?: string }>();
const startedAt = performance.now();
let toldAt = startedAt;

function report(passed: number): void {
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(`${passed} of ${plan.cases} cases in ${seconds.toFixed(0)} s, ${(passed / seconds).toFixed(0)} a second`);
}

console.log(`seed ${plan.seed}, cases ${plan.from} to ${plan.from + plan.cases - 1}`);
try {
  await fuzz(plan, (passed) => {
    if (performance.now() - toldAt < PROGRESS_MS) return;
    toldAt = performance.now();
    report(passed);
  });
  report(plan.cases);
  console.log('none failed');
} catch (error) {
  if (!(error instanceof FuzzFailure)) throw error;
  console.error(error.message);
  console.error(error.cause);
  process.exitCode = 1;
}
