/**
 * Loaded into a server before its own code (`node --import`): on SIGUSR2 the wall clock jumps by the next of the hours that
 * CLOCK_JUMPS lists, as when an administrator or NTP sets it. The monotonic clock goes on. Each jump leaves a file
 * `CLOCK_JUMPED.<number>`.
 */

import fs from 'node:fs';

const { CLOCK_JUMPS: hours, CLOCK_JUMPED: file } = process.env;

// Runners inherit the environment, and are not meant.
if (hours !== undefined && file !== undefined && process.argv[1]?.endsWith('/main.ts') === true) {
  const jumps = hours.split(' ').map((each) => Number(each) * 3_600_000);
  const RealDate = Date;
  let offsetMs = 0;
  let count = 0;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: []) => (args.length > 0 ? new target(...args) : new target(target.now() + offsetMs)),
    get: (target, key) => (key === 'now' ? () => target.now() + offsetMs : Reflect.get(target, key)),
  });
  process.on('SIGUSR2', () => {
    offsetMs += jumps[count] ?? 0;
    count++;
    fs.writeFileSync(`${file}.${count}`, '');
  });
}
