import fs from 'node:fs';
import { isBuiltin } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle } from '../../deploy/package/bundle.ts';
import packageJson from '../../package.json' with { type: 'json' };

const ROOT = path.join(import.meta.dirname, '../..');

describe('the bundle of the program', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-bundle-'));
  const dist = path.join(folder, 'dist');
  let files: readonly string[] = [];

  beforeAll(async () => {
    await bundle(ROOT, dist, { types: false });
    files = fs.readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
  });

  afterAll(() => fs.rmSync(folder, { recursive: true }));

  const textOf = (file: string): string => fs.readFileSync(path.join(dist, file), 'utf8');

  test('imports only packages that an installation brings', () => {
    const imported = files.flatMap((file) =>
      [...textOf(file).matchAll(/^import (?:[^'"]*? from )?["']([^'"]+)["'];$|\bimport\(["']([^'"]+)["']\)/gm)].map(
        ([, linked, loaded]) => linked ?? loaded ?? '',
      ),
    );
    const packages = imported.filter((id) => !id.startsWith('.') && !isBuiltin(id));
    expect(packages).toContain('@grpc/grpc-js');
    const names = new Set(packages.map((id) => id.split('/', id.startsWith('@') ? 2 : 1).join('/')));
    expect([...names].filter((name) => !(name in packageJson.dependencies))).toEqual([]);
  });

  test('has the entries of the package, and finds its files from one folder deep', () => {
    const entries = Object.values(packageJson.exports).flatMap((each) =>
      typeof each !== 'string' && 'default' in each ? each.default : [],
    );
    for (const entry of [...entries, './dist/cli/main.js', './dist/worker/runner.js']) {
      expect(files).toContain(path.relative('dist', entry));
    }
    expect(files.filter((file) => file.split('/').length !== 2)).toEqual([]);
  });

  test('imports no module of Node whose exports load others: undici, readline, Web Crypto and streams', () => {
    const [costly] = files.flatMap(
      (file) => /from "(?:node:)?(?:fs|http|https|process|crypto|util)"/.exec(textOf(file)) ?? [],
    );
    expect(costly).toBeUndefined();
  });

  test('has the JSON Schema of the settings as a constant', () => {
    const [chunk = ''] = files.filter((file) => textOf(file).includes('SETTINGS_JSON_SCHEMA = '));
    expect(textOf(chunk)).toMatch(/\bSETTINGS_JSON_SCHEMA = \{\s+"?\$schema/);
  });

  test('has only characters of one byte, apart from the page of a comparison: V8 keeps the text of its files', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of Latin-1
    const wide = files.filter((file) => /[^\u0000-\u00ff]/.test(textOf(file)));
    expect(wide.filter((file) => !file.startsWith('chunks/compress-'))).toEqual([]);
  });

  test('comes with the licences of the packages in it, and says nothing of where it was made', () => {
    const licences = fs.readFileSync(path.join(dist, 'THIRD_PARTY_LICENSES'), 'utf8');
    const named = [...licences.matchAll(/^(\S+) \d+\.\d+\.\d+$/gm)].map(([, name]) => name);
    expect(named).toEqual([
      '@opentelemetry/api',
      '@opentelemetry/core',
      '@opentelemetry/resources',
      '@opentelemetry/semantic-conventions',
      '@pinojs/redact',
      'atomic-sleep',
      'commander',
      'on-exit-leak-free',
      'opossum',
      'pino',
      'pino-std-serializers',
      'quick-format-unescaped',
      'safe-stable-stringify',
      'sonic-boom',
      'thread-stream',
      'yaml',
      'zod',
    ]);
    for (const file of files) {
      const text = textOf(file);
      for (const place of [ROOT, os.tmpdir()]) expect(text).not.toContain(`${place}/`);
    }
  });
});
