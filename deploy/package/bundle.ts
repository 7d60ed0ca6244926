/**
 * The program as few files: a start reads and links each module by itself, and most of its time went there. Entry files keep
 * their places, so that everything outside finds them as in `src`.
 */

import fs from 'node:fs';
import path from 'node:path';
import { type Plugin, rolldown } from 'rolldown';

const ENTRIES = [
  'cli/main',
  'client/inference-client',
  'gateway/main',
  'worker/instance-thread',
  'worker/runner',
] as const;

/**
 * The packages that are read at each start, and that neither have native parts nor find files by their own place. Others stay
 * packages beside the program.
 */
const BUNDLED =
  /^(zod|yaml|commander|@opentelemetry\/(core|exporter-prometheus|resources|sdk-metrics|semantic-conventions))(\/|$)/;

/** Writes the files to `target`, and the licences of the packages that are part of them. */
export async function bundle(root: string, target: string): Promise<void> {
  const source = path.join(root, 'src');
  const bundling = await rolldown({
    cwd: root,
    input: Object.fromEntries(ENTRIES.map((entry) => [entry, path.join(source, `${entry}.ts`)])),
    platform: 'node',
    // Files, and what a bundled package imports of its own (`#…`), are part of the program.
    external: (id) => !/^[./#]/.test(id) && !BUNDLED.test(id),
    plugins: [keepPlaces(source)],
  });
  const { output } = await bundling.write({ dir: target, format: 'esm', chunkFileNames: 'chunks/[name]-[hash].js' });
  await bundling.close();
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  fs.writeFileSync(path.join(target, 'THIRD_PARTY_LICENSES'), licencesOf(modules));
}

/** A module that looks for files from its own place finds them from there, whichever file it becomes part of: all are one folder deep. */
function keepPlaces(source: string): Plugin {
  return {
    name: 'keep-places',
    transform(code, id) {
      if (!id.startsWith(source) || !code.includes('import.meta.url')) return undefined;
      const place = path.relative(source, id).replace(/\.ts$/, '.js');
      return code.replaceAll('import.meta.url', `new URL('../${place}', import.meta.url).href`);
    },
  };
}

function licencesOf(modules: readonly string[]): string {
  const folders = new Set(modules.flatMap((id) => /^.*\/node_modules\/(@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []));
  const texts = [...folders].sort().map((folder) => {
    const { name, version } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const file = fs.readdirSync(folder).find((each) => /^licen[cs]e(\.|$)/i.test(each));
    if (file === undefined) throw new Error(`${name} has no licence, and is part of the bundle`);
    return `${name} ${version}\n\n${fs.readFileSync(path.join(folder, file), 'utf8').trim()}\n`;
  });
  return texts.join(`\n${'-'.repeat(80)}\n\n`);
}
