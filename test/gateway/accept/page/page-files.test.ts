import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { ServerSnapshot } from '../../../../src/gateway/accept/page/snapshot.ts';
import { withUpdate } from '../../../../src/gateway/accept/page/static/document.js';
import { listView } from '../../../../src/gateway/accept/page/static/list-view.js';
import { modelView } from '../../../../src/gateway/accept/page/static/model-view.js';
import { fieldBody, imageBody, imagePlan } from '../../../../src/gateway/accept/page/static/try-form.js';

const FILES = path.join(import.meta.dirname, '../../../../src/gateway/accept/page/static');
const SHOWN = { language: 'curl', filter: '', addresses: { grpc: 'h:1', http: 'h:2' } };

function recorded(name: string): ServerSnapshot {
  return JSON.parse(fs.readFileSync(path.join(import.meta.dirname, 'states', `${name}.json`), 'utf8'));
}

test('all files of the page have at most 150 KB', () => {
  const sizes = fs.readdirSync(FILES).map((name) => fs.statSync(path.join(FILES, name)).size);
  expect(sizes.length).toBeGreaterThan(10);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(150_000);
});

test('the frame has no script, style or handler inside, and names only files that exist', () => {
  const html = fs.readFileSync(path.join(FILES, 'index.html'), 'utf8');
  expect(html).not.toMatch(/<style|style=|\son\w+=|<script(?![^>]*src=)/);
  const named = [...html.matchAll(/(?:href|src)="page\/([^"]+)"/g)].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(2);
  for (const name of named) expect(fs.existsSync(path.join(FILES, name))).toBe(true);
});

test.each(['empty', 'loading', 'quiet', 'ready', 'one-model-broken', 'overload', 'draining'])(
  'state %s can be drawn: no value is left out',
  (name) => {
    const snapshot = recorded(name);
    const views = [
      listView(snapshot, SHOWN),
      ...snapshot.models.map((model) => modelView(model, snapshot, SHOWN).markup),
    ];
    for (const { text } of views) expect(text).not.toMatch(/NaN|undefined|Infinity|\[object/);
  },
);

test('names and reasons are text, whatever they hold', () => {
  const evil = '<img src=x onerror=alert(1)>"\'';
  const snapshot: ServerSnapshot = JSON.parse(
    JSON.stringify(recorded('one-model-broken'))
      .replaceAll('"depth"', JSON.stringify(evil))
      .replaceAll('"eta"', JSON.stringify(`${evil}2`)),
  );
  const views = [
    listView(snapshot, SHOWN),
    ...snapshot.models.map((model) => modelView(model, snapshot, SHOWN).markup),
  ];
  for (const { text } of views) expect(text).not.toContain('<img src=x');
  expect(views.some(({ text }) => text.includes('&lt;img src=x'))).toBe(true);
});

test('an update replaces what it names, and keeps the past', () => {
  const snapshot = recorded('ready');
  const [eta] = snapshot.models;
  const [version] = eta!.versions;
  const last = version!.figures!.points.at(-1)!;
  const figures = {
    ...version!.figures!,
    answered_per_s: 9,
    points: [
      [last[0], 7, 0, 0, 1, 1, 0],
      [last[0] + 1, 8, 0, 0, 1, 1, 0],
    ] as const,
    runs: [[5, 1, 1, 1]] as const,
  };
  const next = withUpdate(snapshot, {
    revision: snapshot.revision + 1,
    at_ms: snapshot.at_ms + 2_000,
    server: snapshot.server,
    versions: [{ model: 'eta', version: version!.version, live: version!.live, figures }],
    rollouts: [],
    events: [],
  });
  const shown = next.models[0]!.versions[0]!.figures!;
  expect(shown.answered_per_s).toBe(9);
  expect(shown.points.map(([slot]) => slot)).toEqual([
    ...new Set([...version!.figures!.points.map(([slot]) => slot), last[0] + 1]),
  ]);
  expect(shown.points.at(-2)?.[1]).toBe(7);
  expect(shown.runs).toHaveLength(version!.figures!.runs.length + 1);
  // The reader has to see that it is to ask for the whole.
  expect(next.revision).toBe(snapshot.revision);
  expect(next.models[1]).toBe(snapshot.models[1]);
});

test('a picture becomes the tensor that the model takes', () => {
  const input = (shape: readonly number[], datatype: string) =>
    ({
      ...recorded('ready').models[0]!,
      sample: [{ name: 'image', datatype, shape, value: 0 }],
    }) as unknown as ServerSnapshot['models'][number];
  const rgba = [255, 0, 51, 255, 0, 255, 0, 255];
  const first = imagePlan(input([1, 3, 32, 16], 'UINT8'))!;
  expect(first).toMatchObject({ height: 32, width: 16, channels: 3, order: 'first' });
  expect(JSON.parse(imageBody({ ...first, height: 1, width: 2 }, rgba)).inputs[0].data).toEqual([
    255, 0, 0, 255, 51, 0,
  ]);
  const last = imagePlan(input([1, 28, 28, 1], 'FP32'))!;
  expect(last).toMatchObject({ channels: 1, order: 'last' });
  expect(JSON.parse(imageBody({ ...last, height: 1, width: 2 }, rgba)).inputs[0].data).toEqual([0.32157, 0.58824]);
  expect(imagePlan(input([1, 4], 'FP32'))).toBeUndefined();
});

test('a field that holds no value of its datatype is named', () => {
  const model = recorded('ready').models[0]!;
  const fields = ['1', '2', '3', 'x'].map((value) => ({ name: 'input', value }));
  expect(() => fieldBody(model, fields)).toThrow("input is 'x', expected a number (FP32)");
  expect(JSON.parse(fieldBody(model, fields.with(3, { name: 'input', value: '4.5' }))).inputs[0].data).toEqual([
    1, 2, 3, 4.5,
  ]);
});
