/** The page in a real browser, before a real server. */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium as chromiumType, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { batchMeanModel, mlpModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { chromium } from '../tools/tools.ts';

const IMAGE = fileURLToPath(new URL('../../examples/cifar10/images/ship-0160.png', import.meta.url));
const AXE = fileURLToPath(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url));
const CIFAR10 = fileURLToPath(new URL('../../models/cifar10/', import.meta.url));
const executablePath = chromium();

function cifar10() {
  const read = (name: string) => fs.readFileSync(path.join(CIFAR10, name));
  return {
    versions: { 1: read('1/model.onnx') },
    files: { 'config.yaml': read('config.yaml'), 'labels.txt': read('labels.txt') },
  };
}

if (executablePath === undefined) console.warn('SKIPPED: chromium is not installed (test/tools/setup.sh does)');
describe.skipIf(executablePath === undefined)('the page', () => {
  const fixture = useServer({
    cifar10: cifar10(),
    eta: mlpModel(),
    ranker: batchMeanModel(),
    depth: Buffer.from('half'),
  });
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromiumType.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
  });
  afterAll(() => browser.close());

  /** Opens a view, and gathers what the browser has against it. */
  async function open(hash = '', { width = 1_440, colorScheme = 'light' as 'light' | 'dark' } = {}) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const problems: string[] = [];
    const hosts = new Set<string>();
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) =>
      hosts.add(new URL(request.url()).protocol === 'data:' ? 'data' : new URL(request.url()).host),
    );
    await page.goto(`${fixture.server.http}/${hash}`);
    await page.waitForSelector('.answer');
    return { page, problems, hosts };
  }

  async function violationsOf(page: Page): Promise<readonly string[]> {
    // By the tools of the browser: the page itself lets no other script in.
    await page.evaluate(fs.readFileSync(AXE, 'utf8'));
    const { violations } = await page.evaluate(() =>
      (
        globalThis as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        }
      ).axe.run(),
    );
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
  }

  async function ask(): Promise<void> {
    const input = { name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] };
    for (let each = 0; each < 30; each++) {
      await fetch(`${fixture.server.http}/v2/models/eta/infer`, {
        method: 'POST',
        body: JSON.stringify({ inputs: [input] }),
      });
    }
  }

  test('says first which model does not answer, and lists all', async () => {
    const { page, problems, hosts } = await open();
    expect(await page.locator('.answer strong').textContent()).toBe(
      'Not ready, because depth version 1 does not answer.',
    );
    expect(await page.locator('.models tbody tr').count()).toBe(4);
    expect(await page.title()).toBe('tensorgate · not ready');
    expect(problems).toEqual([]);
    // Nothing is loaded from elsewhere.
    expect([...hosts]).toEqual([new URL(fixture.server.http).host]);
  });

  test('figures move without a reload', async () => {
    const { page } = await open('#/eta');
    await ask();
    await page.locator('.answer', { hasText: 'answers a second, half of them within' }).waitFor();
    expect(await page.locator('.times svg').count()).toBe(3);
  });

  test('the form classifies a picture', async () => {
    const { page, problems } = await open('#/cifar10');
    await page.setInputFiles('#file', IMAGE);
    await page.waitForSelector('#result svg');
    expect(await page.locator('#result svg').getAttribute('aria-label')).toMatch(/^ship 9\d/);
    expect(problems).toEqual([]);
  });

  test('the form takes numbers, names the field that is none, and stays while figures move', async () => {
    const { page } = await open('#/eta');
    const [first] = await page.locator('[data-input=input]').all();
    await first!.fill('four');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await page.waitForSelector('#result .failed');
    expect(await page.locator('#result').textContent()).toContain("input is 'four', expected a number (FP32)");
    await first!.fill('4');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await page.locator('#result', { hasText: /Version 1, .* ms from here and back/ }).waitFor();
    await ask();
    await page.waitForSelector('.times');
    expect(await page.locator('#result').textContent()).toContain('from here and back');
  });

  test.each([
    ['', 'light', 1_440],
    ['', 'dark', 400],
    ['#/eta', 'dark', 1_440],
    ['#/eta', 'light', 400],
    ['#/depth', 'light', 1_000],
    ['#/cifar10', 'light', 1_200],
  ] as const)('view "%s" in %s at %i px fits its width, and axe finds nothing', async (hash, colorScheme, width) => {
    await ask();
    const { page } = await open(hash, { colorScheme, width });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    expect(await violationsOf(page)).toEqual([]);
  });

  test('keys reach everything: the model, the tabs, the charts', async () => {
    await ask();
    const { page } = await open();
    await page.locator('#go').focus();
    await page.locator('#go').selectOption('eta');
    await page.waitForSelector('#times');
    expect(await page.evaluate('document.activeElement?.id')).toBe('title');
    await page.locator('#tab-TypeScript').focus();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#code').textContent()).toMatch(/^curl /);
    await page.locator('#times').focus();
    await page.keyboard.press('ArrowLeft');
    expect(await page.locator('#said').textContent()).toMatch(/^\d\d:\d\d:\d\d: answered/);
  });
});

describe('a server with --ui off', () => {
  const fixture = useServer({ eta: mlpModel() }, { flags: ['--ui', 'off'] });

  test('has no page, and says what there is', async () => {
    for (const file of ['', 'page/page.js', 'page/snapshot', 'page/events']) {
      const answer = await fetch(`${fixture.server.http}/${file}`);
      expect(answer.status).toBe(404);
      expect(await answer.text()).toContain('/readyz');
    }
  });
});
