import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { isSystemRefusal, watchFaults } from '../../src/cli/uncaught-fault.ts';

let target: EventEmitter;
let logged: { readonly text: string; readonly cause: unknown }[];
let ended: unknown[];

beforeEach(() => {
  target = new EventEmitter();
  logged = [];
  ended = [];
  void watchFaults((text, cause) => logged.push({ text, cause }), target).then((fault) => ended.push(fault));
});

function refusal(): unknown {
  try {
    return fs.openSync('/nowhere/file', 'r');
  } catch (error) {
    return error;
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('a refusal of the operating system is logged, and the server goes on', async () => {
  const fault = refusal();
  expect(isSystemRefusal(fault)).toBe(true);
  target.emit('uncaughtException', fault);
  await turn();
  expect(logged).toEqual([{ text: expect.stringContaining('the system refused open ENOENT'), cause: fault }]);
  expect(ended).toEqual([]);
});

test.each([
  ['ECONNRESET', true],
  ['ERR_STREAM_WRITE_AFTER_END', false],
] as const)('an error with the code %s and no system call: a refusal is %s', (code, isRefusal) => {
  expect(isSystemRefusal(Object.assign(new Error('aborted'), { code }))).toBe(isRefusal);
});

test('equal refusals that come at once are one line', () => {
  for (let count = 0; count < 1_000; count++) target.emit('uncaughtException', refusal());
  expect(logged).toHaveLength(1);
});

test.each([
  new TypeError('x is not a function'),
  'a text',
  undefined,
  new RangeError('Maximum call stack size exceeded'),
])('anything else is a bug, after which the server ends: %s', async (fault) => {
  target.emit('uncaughtException', fault);
  target.emit('uncaughtException', new Error('while it drains'));
  await turn();
  expect(ended).toEqual([fault]);
  // What follows while it drains is logged, too.
  expect(logged.map(({ cause }) => cause)).toEqual([fault, new Error('while it drains')]);
});
