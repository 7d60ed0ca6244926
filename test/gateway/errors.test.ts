import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { InferError, REASONS, type Reason, Status } from '../../src/gateway/errors.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** Rows of the table in docs/errors.md: reason and status. */
function documented(): [string, string][] {
  const page = fs.readFileSync(path.join(root, 'docs/errors.md'), 'utf8');
  return [...page.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, reason = '', status = '']) => [reason, status]);
}

describe('the closed set of errors', () => {
  test('is the table of docs/errors.md, reason by reason and status by status', () => {
    expect(documented()).toEqual(Object.entries(REASONS));
  });

  test('holds no reason that nothing gives', () => {
    const source = fs
      .readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('errors.ts'))
      .map((file) => fs.readFileSync(path.join(root, 'src', file), 'utf8'))
      .join('\n');
    const unused = Object.keys(REASONS).filter((reason) => reason !== 'internal' && !source.includes(`'${reason}'`));
    expect(unused).toEqual([]);
  });

  test('has the number of its status for each reason', () => {
    for (const reason of Object.keys(REASONS) as Reason[]) {
      expect(new InferError(reason, 'text').status).toBe(Status[REASONS[reason]]);
    }
  });
});

describe('thrown values', () => {
  test('is kept where it is an error of ours', () => {
    const error = new InferError('queue_full', 'full', { pushback: 5 });
    expect(InferError.from(error)).toBe(error);
  });

  test('becomes internal where it is not, and its text stays inside', () => {
    const cause = new Error('a secret');
    const error = InferError.from(cause);
    expect([error.reason, error.message, error.cause]).toEqual(['internal', 'internal error', cause]);
  });

  test('keeps the stack traces of others as long as they were', () => {
    const { stackTraceLimit } = Error;
    new InferError('internal', 'internal error');
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });
});
