import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DESCRIPTOR_SET_PATH } from '../../../src/protocol-files.ts';
import { buf } from '../../tools/tools.ts';

const ROOT = path.join(import.meta.dirname, '../../..');
const BUF = buf();
if (BUF === undefined) console.warn('SKIPPED: no buf, so proto/tensorgate.binpb is not compared (test/tools/setup.sh)');

test.skipIf(BUF === undefined)(
  'proto/tensorgate.binpb is the descriptor set that `npm run gen` makes of proto/',
  () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'tensorgate-proto-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const made = path.join(folder, 'made.binpb');
    execFileSync(BUF ?? 'buf', ['build', 'proto', '-o', made], { cwd: ROOT });
    expect(readFileSync(made).equals(readFileSync(DESCRIPTOR_SET_PATH))).toBe(true);
  },
);
