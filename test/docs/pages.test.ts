import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { pages } from './printed-commands.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PAGES = fs.readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
const README = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');

function read(name: string): string {
  return fs.readFileSync(path.join(ROOT, 'docs', name), 'utf8');
}

function anchorsOf(page: string): string[] {
  return (page.match(/^#+ .+$/gm) ?? []).map((heading) => anchorOf(heading.replace(/^#+ /, '')));
}

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

/** Pages that compare servers, feature by feature. */
const WITHOUT_EXAMPLE: ReadonlySet<string> = new Set(['features.md', 'triton.md']);

describe.each(PAGES)('docs/%s', (name) => {
  const page = read(name);

  test('starts with the readers it is for', () => {
    expect(page).toMatch(/^# .+\n\nFor .+/);
  });

  test.skipIf(WITHOUT_EXAMPLE.has(name))('shows an example before its second section', () => {
    const second = page.split(/^## /m).slice(0, 2).join('');
    expect(second).toMatch(/^```/m);
  });

  test('is listed in README', () => {
    expect(README).toContain(`(docs/${name})`);
  });
});

describe.each(pages())('%s', (name) => {
  test('links only to pages, files and headings that exist', () => {
    const page = fs.readFileSync(path.join(ROOT, name), 'utf8');
    const links = [...page.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)];
    const broken = links.filter(([, file = '', anchor]) => {
      const target = file === '' ? path.join(ROOT, name) : path.join(ROOT, path.dirname(name), file);
      if (!fs.existsSync(target)) return true;
      if (anchor === undefined || !target.endsWith('.md')) return false;
      return !anchorsOf(fs.readFileSync(target, 'utf8')).includes(anchor);
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });
});

/** Hosts of badges and services come and go: a picture lies in the repository. */
test('every picture of a page is a file of the repository', () => {
  const outside = pages().flatMap((name) =>
    [...fs.readFileSync(path.join(ROOT, name), 'utf8').matchAll(/!\[[^\]]*\]\((?<source>https?:[^)]*)\)/g)].map(
      ({ groups }) => `${name}: ${groups?.['source']}`,
    ),
  );
  expect(outside).toEqual([]);
});

test('the chart of README shows figures of docs/performance.md, to scale', () => {
  const chart = fs.readFileSync(path.join(ROOT, 'docs/images/efficiency.svg'), 'utf8');
  const widths = [...chart.matchAll(/<rect x="210" y="(\d+)" width="(\d+)"/g)].map(([, y, width]) => [
    Number(y),
    Number(width),
  ]);
  const figures = [...chart.matchAll(/<text x="\d+" y="(\d+)">(\d+)(?: \((0\.\d+)\))?<\/text>/g)];
  expect(figures).toHaveLength(4);
  for (const [index, [, , figure = '', ratio]] of figures.entries()) {
    const [, width = 0] = widths.sort(([a = 0], [b = 0]) => a - b)[index] ?? [];
    expect(width).toBeCloseTo(Number(figure) * 0.06, -0.5);
    const measured = ratio === undefined ? `bare ${figure} ` : `tensorgate ${figure} `;
    const line = read('performance.md')
      .split('\n')
      .find((each) => each.startsWith('CNN, ') && each.includes(measured));
    expect(line, `${measured}in docs/performance.md`).toContain(ratio === undefined ? measured : `ratio ${ratio} `);
  }
});
