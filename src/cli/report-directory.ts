import fs from 'node:fs/promises';
import path from 'node:path';
import type { Contender } from '../compare/contender.ts';
import { type Pictures, renderPage } from '../compare/page/page.ts';
import type { Report } from '../compare/report.ts';
import { REPORT_FILE } from '../gateway/repository/version-report.ts';

export const PAGE_FILE = 'report.html';

/** Writes `report.json`, `report.html` and the candidates, beside the folder first, which is then changed. */
export async function writeReport(
  directory: string,
  report: Report,
  contenders: readonly Contender[],
  pictures: Pictures,
): Promise<void> {
  const parent = path.dirname(path.resolve(directory));
  const partial = path.join(parent, `.${path.basename(directory)}-${process.pid}`);
  const old = path.join(parent, `.${path.basename(directory)}-${process.pid}-old`);
  try {
    await fs.mkdir(partial, { recursive: true });
    await fs.writeFile(path.join(partial, REPORT_FILE), `${JSON.stringify(report, undefined, 2)}\n`);
    await fs.writeFile(path.join(partial, PAGE_FILE), renderPage(report, pictures));
    for (const { source } of contenders) {
      if (source.kind === 'base') continue;
      const folder = path.join(partial, 'models', source.name.replaceAll(':', '-'));
      await fs.mkdir(folder, { recursive: true });
      for (const [index, file] of source.files.entries()) {
        await fs.copyFile(file, path.join(folder, index === 0 ? 'model.onnx' : path.basename(file)));
      }
    }
    const isReplaced = await fs.rename(directory, old).then(
      () => true,
      () => false,
    );
    await fs.rename(partial, directory).catch(async (error: unknown) => {
      if (isReplaced) await fs.rename(old, directory);
      throw error;
    });
  } finally {
    await fs.rm(partial, { recursive: true, force: true });
    await fs.rm(old, { recursive: true, force: true });
  }
}
