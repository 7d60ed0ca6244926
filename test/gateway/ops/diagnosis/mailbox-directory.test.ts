import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { checkMailboxDirectory, judgeMailbox } from '../../../../src/gateway/ops/diagnosis/mailbox-directory.ts';
import { temporaryDirectory } from '../../../support/temporary-directory.ts';

const MiB = 2 ** 20;
const settings = { mailboxDirectory: '/m', maxMessageBytes: 64 * MiB, maxOutputBytes: undefined };

test('a directory that is not there fails, and says what to give', () => {
  const mailboxDirectory = path.join(temporaryDirectory(), 'nosuch');
  const { level, text } = checkMailboxDirectory({ ...settings, mailboxDirectory });
  expect(level).toBe('fail');
  expect(text).toMatch(/nosuch.*ENOENT.*--mailbox-directory/);
});

test('a directory is tried by making a mailbox, which is gone afterwards', () => {
  const mailboxDirectory = temporaryDirectory();
  expect(checkMailboxDirectory({ ...settings, mailboxDirectory, maxMessageBytes: 1 }).level).not.toBe('fail');
  expect(fs.readdirSync(mailboxDirectory)).toEqual([]);
});

test.skipIf(!fs.existsSync('/dev/shm'))('/dev/shm is seen to be memory', () => {
  const { text } = checkMailboxDirectory({ ...settings, mailboxDirectory: '/dev/shm', maxMessageBytes: 1 });
  expect(text).toMatch(/^\/dev\/shm is memory, \S+ \S+ free/);
});

test.each([
  ['memory with room', { inMemory: true, free: 128 * MiB }, 'ok', undefined],
  ['what a container has by default', { inMemory: true, free: 64 * MiB }, 'warn', /--shm-size/],
  ['memory without a limit', { inMemory: true, free: Number.POSITIVE_INFINITY }, 'ok', undefined],
  ['a disk', { inMemory: false, free: 2 ** 40 }, 'warn', /tmpfs/],
])('%s', (_name, room, level, advice) => {
  const finding = judgeMailbox(settings, room);
  expect(finding.level).toBe(level);
  if (advice === undefined) expect(finding.advice).toBeUndefined();
  else expect(finding.advice).toMatch(advice);
});

test('the need is the longest request and its outputs', () => {
  const room = { inMemory: true, free: 128 * MiB };
  const { level, text } = judgeMailbox({ ...settings, maxOutputBytes: 256 * MiB }, room);
  expect(level).toBe('warn');
  expect(text).toMatch(/^\/m is memory, 128 MiB free: .* \(64 MiB\) and outputs .* \(256 MiB\) need 320 MiB/);
});
