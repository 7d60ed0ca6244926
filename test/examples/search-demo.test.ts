import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { searchModel } from '../tools/tools.ts';

/** As long as a busy machine may take; on an idle one it is some seconds. */
const PATIENCE_MS = 300_000;

const folder = searchModel();

test.skipIf(folder === undefined)(
  'the search demo finds the answers to its questions, exits with 0, and leaves no process',
  {
    timeout: PATIENCE_MS,
  },
  async () => {
    const demo = fileURLToPath(new URL('../../examples/search/demo.ts', import.meta.url));
    // A process group of its own, so that whatever it leaves can be found.
    const child = spawn(process.execPath, [demo, folder ?? ''], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const exited = once(child, 'exit');
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
    expect({ code, story: `${stdout}\n${stderr}` }).toEqual({ code: 0, story: expect.any(String) });
    expect(stdout).not.toContain('downloading');
    expect(stdout).toMatch(/^155 passages embedded in \d+ ms$/m);
    expect(stdout).toMatch(/^0\.\d{3} +1 +0\.\d{3} +The Moon causes the tides/m);
    expect(stdout).toContain('3 of 3 answers are among the first 3; the server ended with exit code 0');
    expect(() => process.kill(-(child.pid ?? 0), 0)).toThrow('ESRCH');
  },
);
