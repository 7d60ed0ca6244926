/** The plain YAML of the overlays, as `npm run render` writes it. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseBuild } from '../../deploy/lint/build.ts';
import { KUBECTL, OVERLAYS, overlay } from './builds.ts';

const MAIN = path.join(import.meta.dirname, '../../deploy/render/main.ts');

function render(args: readonly string[], kubectl: string) {
  return spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, KUBECTL: kubectl },
  });
}

function temporaryDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-render-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true }));
  return directory;
}

describe.skipIf(KUBECTL === undefined)('the rendered overlays', () => {
  test('are one file for each overlay, with the objects that kubectl apply -k sends', () => {
    const directory = temporaryDirectory();
    expect(render([directory], KUBECTL ?? '')).toMatchObject({ status: 0, stderr: '' });
    expect(fs.readdirSync(directory).sort()).toEqual(OVERLAYS.map((name) => `${name}.yaml`).sort());
    for (const name of OVERLAYS) {
      const text = fs.readFileSync(path.join(directory, `${name}.yaml`), 'utf8');
      expect(parseBuild(text, name).objects).toEqual(overlay(name).objects);
    }
  });
});

test('without a directory, rendering ends with 2 and its usage', () => {
  expect(render([], 'kubectl')).toMatchObject({ status: 2, stderr: 'usage: npm run render -- DIR\n' });
});

test('an overlay that cannot be built leaves no file, and says why', () => {
  const directory = path.join(temporaryDirectory(), 'out');
  const { status, stderr } = render([directory], '/nonexistent/kubectl');
  expect(status).toBe(1);
  expect(stderr).toContain('/nonexistent/kubectl');
  expect(fs.existsSync(directory)).toBe(false);
});
