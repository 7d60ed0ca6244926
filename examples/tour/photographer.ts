/** Takes the pictures of the tour: one browser, in a width and a colour scheme. */

import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';

export interface Picture {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly colorScheme: 'light' | 'dark';
  /** The whole page, however long. */
  readonly full?: boolean;
}

export class Photographer implements AsyncDisposable {
  readonly #browser: Browser;
  readonly #folder: string;

  private constructor(browser: Browser, folder: string) {
    this.#browser = browser;
    this.#folder = folder;
  }

  /** @param executablePath of Chromium */
  static async start(executablePath: string, folder: string): Promise<Photographer> {
    return new Photographer(await chromium.launch({ executablePath, args: ['--no-sandbox'] }), folder);
  }

  /** @param prepare what a reader does before the picture is taken */
  async take(
    url: string,
    { name, width, height, colorScheme, full = false }: Picture,
    prepare: (page: Page) => Promise<void> = async () => {},
  ): Promise<void> {
    const page = await this.#browser.newPage({ colorScheme, viewport: { width, height } });
    await page.goto(url);
    await page.waitForSelector('.answer');
    await prepare(page);
    const picture = await page.screenshot({ fullPage: full });
    // The page has few colours: a palette makes a third of the bytes of it.
    await sharp(picture)
      .png({ palette: true, colours: 128, effort: 10 })
      .toFile(path.join(this.#folder, `${name}.png`));
    await page.close();
    console.log(`${name}.png`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}
