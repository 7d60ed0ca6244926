/** `npm run chart`: writes the generated files of `deploy/helm/tensorgate`. */

import fs from 'node:fs';
import path from 'node:path';
import { BuildError, findKubectl } from '../lint/build.ts';
import { chartTemplates } from './chart.ts';
import { valuesSchema } from './values-schema.ts';

const CHART = path.join(import.meta.dirname, 'tensorgate');
const TEMPLATES = path.join(CHART, 'templates');

try {
  const templates = chartTemplates(findKubectl(process.env));
  for (const name of fs.readdirSync(TEMPLATES)) {
    const file = path.join(TEMPLATES, name);
    if (fs.readFileSync(file, 'utf8').includes('npm run chart')) fs.rmSync(file);
  }
  for (const [name, text] of templates) fs.writeFileSync(path.join(TEMPLATES, name), text);
  fs.writeFileSync(path.join(CHART, 'values.schema.json'), `${JSON.stringify(valuesSchema(), null, 2)}\n`);
  console.log(`${templates.size} templates in ${path.relative(process.cwd(), TEMPLATES)}`);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
