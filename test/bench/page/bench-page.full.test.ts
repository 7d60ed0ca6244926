/** The page of a benchmark in a real browser. */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Browser, chromium as chromiumType } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderBenchPage } from '../../../src/bench/page/bench-page.ts';
import { benchLevel, benchResult } from '../../support/bench-result.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { chromium } from '../../tools/tools.ts';

const AXE = fileURLToPath(new URL('../../../node_modules/axe-core/axe.min.js', import.meta.url));
const executablePath = chromium();

const RESULT = benchResult({
  slo: { ms: 50, share: 0.99 },
  levels: [10, 20, 40, 80].map((ratePerS) => {
    return benchLevel({ ratePerS, goodputPerS: ratePerS, slo: { withinShare: 1, verdict: 'met' } });
  }),
});

if (executablePath === undefined) console.warn('SKIPPED: chromium is not installed (test/tools/setup.sh does)');
describe.skipIf(executablePath === undefined)('the page of a benchmark', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromiumType.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
  });
  afterAll(() => browser.close());

  test.each([
    { colorScheme: 'light', width: 1_200 },
    { colorScheme: 'dark', width: 400 },
  ] as const)('fits, asks for nothing, and can be read by all: $colorScheme, $width pixels', async (options) => {
    const file = path.join(temporaryDirectory(), 'index.html');
    fs.writeFileSync(file, renderBenchPage(RESULT));
    const { width, colorScheme } = options;
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const problems: string[] = [];
    page.on('console', (message) => problems.push(message.text()));
    page.on('request', (request) => problems.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    expect(problems.filter((text) => text !== pathToFileURL(file).href && !text.startsWith('data:'))).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    expect(await page.locator('svg.plot').count()).toBe(4);
    const outside = await page.locator('svg.plot text').evaluateAll((texts) =>
      texts.flatMap((text) => {
        const [box, plot] = [text.getBoundingClientRect(), text.closest('svg')!.getBoundingClientRect()];
        return box.left >= plot.left - 1 && box.right <= plot.right + 1 ? [] : [text.textContent];
      }),
    );
    expect(outside).toEqual([]);
    await page.evaluate(fs.readFileSync(AXE, 'utf8'));
    const violations = await page.evaluate('axe.run().then(({ violations }) => violations.map(({ id }) => id))');
    expect(violations).toEqual([]);
    await page.close();
  });
});
