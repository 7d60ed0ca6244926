import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium as chromiumType, type Page } from 'playwright-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { renderPage, shownRows } from '../../src/compare/page/page.ts';
import { REPORT, type Report } from '../../src/compare/report.ts';
import { exampleModel, exampleReport } from '../support/example-report.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { chromium } from '../tools/tools.ts';

/** One red pixel. */
const PICTURE =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

test('the report that these tests show is one', () => {
  expect(REPORT.parse(exampleReport())).toEqual(exampleReport());
});

describe('the page', () => {
  test('says first which candidate passed, and what that brings', () => {
    const page = renderPage(exampleReport(), new Map());
    expect(page).toContain('<strong>int8</strong> is the fastest of 1 that passed (1 did not)');
    expect(page).toContain('2.5x the speed of the base in batches of 32, 4.0x smaller');
    expect(page).toContain('<strong>rank:9000</strong> was not made: no matrix is that large');
  });

  test('says that none passed, where none did', () => {
    const report = exampleReport({ candidates: [exampleModel('student', { passed: false })] });
    expect(renderPage(report, new Map())).toContain('<strong>No candidate passed.</strong>');
  });

  test('takes names of files and classes as text', () => {
    const page = renderPage(exampleReport(), new Map());
    expect(page).not.toMatch(/<img src=x|<b>bird/);
    expect(page).toContain('&lt;b&gt;bird&lt;/b&gt;');
  });

  test('does without labels, classes, batches and candidates that ran', () => {
    const quality = { rows: 10, failed: 0, agreement: 1, flips: { count: 0, shown: [] }, maxAbs: 0, meanAbs: 0 };
    const bare = { quality, speed: [], latency: { runs: 0, p50Ms: 0, p99Ms: 0 } };
    const report = exampleReport({
      base: exampleModel('version 1', { ...bare, kind: 'base' }),
      candidates: [exampleModel('other', bare)],
      data: { source: 'made-up values', rows: 10, kind: 'made-up' },
    });
    const page = renderPage(report, new Map());
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
    expect(page).toContain('Nowhere: on all 10 rows every candidate names the same class as the base.');
  });

  test('shows rows on which answers differ from all over the data', () => {
    const flip = exampleReport().candidates[0]!.quality.flips.shown[0]!;
    const shown = Array.from({ length: 200 }, (_, row) => ({ ...flip, row: row * 50 }));
    const one = exampleModel('a');
    const candidate = { ...one, quality: { ...one.quality, flips: { count: 200, shown } } };
    const rows = shownRows(exampleReport({ candidates: [candidate] }));
    expect(rows).toHaveLength(24);
    expect(rows.filter((row) => row < 5000).length).toBeGreaterThan(6);
    expect(rows.filter((row) => row >= 5000).length).toBeGreaterThan(6);
  });
});

const browserPath = chromium();

if (browserPath === undefined) console.warn('SKIPPED: chromium is not installed (test/tools/setup.sh does)');
describe.skipIf(browserPath === undefined)('in a browser', () => {
  /** Opens the page, and gathers what the browser has against it and what it asks for. */
  async function open(report: Report, options: { colorScheme: 'light' | 'dark'; width: number }) {
    const file = path.join(temporaryDirectory(), 'report.html');
    fs.writeFileSync(file, renderPage(report, new Map([[7, PICTURE]])));
    const browser = await chromiumType.launch({ executablePath: browserPath!, args: ['--no-sandbox'] });
    onTestFinished(() => browser.close());
    const { colorScheme, width } = options;
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const problems: string[] = [];
    const requests: string[] = [];
    page.on('console', (message) => problems.push(message.text()));
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    return { page, problems, requests: requests.filter((url) => url !== pathToFileURL(file).href) };
  }

  const background = (page: Page) => page.evaluate('getComputedStyle(document.body).backgroundColor');

  test.each([
    { colorScheme: 'light', width: 1200, expected: 'rgb(252, 252, 250)' },
    { colorScheme: 'dark', width: 400, expected: 'rgb(21, 24, 27)' },
  ] as const)(
    'it is whole, asks for nothing, and fits: $colorScheme, $width pixels',
    async ({ expected, ...options }) => {
      const { page, problems, requests } = await open(exampleReport(), options);
      expect(problems).toEqual([]);
      expect(requests.filter((url) => !url.startsWith('data:'))).toEqual([]);
      expect(await background(page)).toBe(expected);
      // Nothing sticks out to the side: wide parts scroll in their place.
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(options.width);
      expect(await page.locator('svg.plot').count()).toBe(3);
      for (const plot of await page.locator('svg.plot').all()) {
        expect((await plot.boundingBox())!.height).toBeGreaterThan(60);
      }
      expect(
        await page
          .locator('.flip img')
          .evaluate((image) => (image as unknown as { readonly naturalWidth: number }).naturalWidth),
      ).toBe(1);
      expect(await page.getByText('it lost 3 points of accuracy').isVisible()).toBe(true);
    },
  );

  test('every text of a plot lies in it', async () => {
    const { page } = await open(exampleReport(), { colorScheme: 'light', width: 1200 });
    const outside = await page.locator('svg.plot text').evaluateAll((texts) =>
      texts.flatMap((text) => {
        const box = text.getBoundingClientRect();
        const plot = text.closest('svg')!.getBoundingClientRect();
        const isInside =
          box.left >= plot.left - 1 &&
          box.right <= plot.right + 1 &&
          box.top >= plot.top - 1 &&
          box.bottom <= plot.bottom + 1;
        return isInside ? [] : [text.textContent];
      }),
    );
    expect(outside).toEqual([]);
  });
});
