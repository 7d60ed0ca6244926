/** A process that sends a share of the load of a benchmark. It ends with the process that started it. */

import type { PreparedCall } from './call-target.ts';
import type { LoadAnswer, LoadOrder } from './load-message.ts';
import { sendLoad } from './load-sender.ts';
import { openTarget } from './open-target.ts';

let calls: readonly PreparedCall[] = [];

async function follow(order: LoadOrder): Promise<LoadAnswer> {
  if (order.kind === 'prepare') {
    const { protocol, address, model, rows } = order.load;
    const target = openTarget(protocol, address, model);
    calls = rows.map((row) => target.prepare(row));
    return { kind: 'prepared' };
  }
  const { tally, use } = await sendLoad(calls, order.level, order.times, order.seed);
  return { kind: 'sent', tally: tally.record, use };
}

process.on('message', (order: LoadOrder) => {
  void follow(order).then((answer) => process.send?.(answer));
});
