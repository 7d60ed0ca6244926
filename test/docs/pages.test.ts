import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '../..');
const PAGES = fs.readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
const README = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');

function read(name: string): string {
  return fs.readFileSync(path.join(ROOT, 'docs', name), 'utf8');
}

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

describe.each(PAGES)('docs/%s', (name) => {
  const page = read(name);

  test('starts with the readers it is for', () => {
    expect(page).toMatch(/^# .+\n\nFor .+/);
  });

  test('is listed in README', () => {
    expect(README).toContain(`(docs/${name})`);
  });

  test('links only to pages, files and headings that exist', () => {
    const links = [...page.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)];
    const broken = links.filter(([, file = '', anchor]) => {
      const target = file === '' ? path.join(ROOT, 'docs', name) : path.join(ROOT, 'docs', file);
      if (!fs.existsSync(target)) return true;
      if (anchor === undefined || !target.endsWith('.md')) return false;
      const headings = fs.readFileSync(target, 'utf8').match(/^#+ .+$/gm) ?? [];
      return !headings.map((heading) => anchorOf(heading.replace(/^#+ /, ''))).includes(anchor);
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });
});
