/**
 * The program as few files: a start reads and links each module by itself, and most of its time went there. Entry files keep
 * their places, so that everything outside finds them as in `src`.
 */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type OutputOptions, type Plugin, rolldown } from 'rolldown';
import { SETTINGS_JSON_SCHEMA } from '../../src/gateway/ops/settings-json-schema.ts';

const ENTRIES = [
  'bench/load-process',
  'cli/main',
  'client/inference-client',
  'gateway/acceptor-thread',
  'embed/embedded-server',
  'testing/test-server',
  'worker/instance-thread',
  'worker/runner',
] as const;

/**
 * The packages that are read at each start, and that neither have native parts nor find files by their own place. Others stay
 * packages beside the program.
 */
const BUNDLED = new RegExp(
  `^(${[
    'zod',
    'yaml',
    'commander',
    'opossum',
    // pino, and what it brings.
    'pino',
    '@pinojs/redact',
    'atomic-sleep',
    'on-exit-leak-free',
    'pino-std-serializers',
    'quick-format-unescaped',
    'safe-stable-stringify',
    'sonic-boom',
    'thread-stream',
    '@opentelemetry/(api|core|resources|semantic-conventions)',
  ].join('|')})(/|$)`,
);

/** Files that the program reads and sends as they are, from the same place as in `src`. */
const STATIC = ['gateway/accept/page/static'] as const;

/**
 * Modules of Node that are taken as CommonJS takes them. An ESM import reads each of their exports, and some of these are loaded
 * only then: undici behind `http` (12 MB resident, a quarter of a start), readline behind `process`, Web Crypto behind `crypto`, streams
 * behind `fs`.
 */
const TAKEN_WHOLE = /^(?:node:)?(fs|http|https|process|crypto|util)$/;
const WHOLE = '\0whole:';

/** Modules whose value is the same at each start, and is made now. */
const CONSTANTS: ReadonlyMap<string, string> = new Map([
  [
    'gateway/ops/settings-json-schema.js',
    `export const SETTINGS_JSON_SCHEMA = ${JSON.stringify(SETTINGS_JSON_SCHEMA)};`,
  ],
]);

/**
 * V8 keeps the text of each file, in two bytes a character if one of them is not Latin-1. Lines and names stay, for stack traces.
 */
const LEAN: OutputOptions = {
  comments: false,
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: false, asciiOnly: true } },
};

export interface BundleOptions {
  /** Modules of `src`, without extension; by default the entries of the program. */
  readonly entries?: readonly string[];
  /** Whether the declarations of all modules come beside the files. */
  readonly types: boolean;
}

/** Writes the files to `target`, and the licences of the packages that are part of them. */
export async function bundle(root: string, target: string, options: BundleOptions): Promise<void> {
  const { entries = ENTRIES, types } = options;
  const compiled = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-compiled-'));
  try {
    // Not by rolldown, whose code for older versions of Node needs a package beside it.
    const declared = types ? ['--declaration', '--declarationDir', target] : [];
    const emit = ['--outDir', compiled, ...declared];
    const tsc = path.join(root, 'node_modules/.bin/tsc');
    execFileSync(tsc, ['-p', 'tsconfig.build.json', ...emit], { cwd: root, stdio: 'inherit' });
    const bundling = await rolldown({
      cwd: root,
      input: Object.fromEntries(entries.map((entry) => [entry, path.join(compiled, `${entry}.js`)])),
      platform: 'node',
      resolve: { modules: [path.join(root, 'node_modules')] },
      // Files, and what a bundled package imports of its own (`#…`), are part of the program.
      external: (id) => !/^[./#\0]/.test(id) && !BUNDLED.test(id) && !TAKEN_WHOLE.test(id),
      plugins: [keepPlaces(compiled), takeWhole(), takeConstants(compiled)],
      // Comments with the places of modules differ from machine to machine.
      experimental: { attachDebugInfo: 'none' },
    });
    if (entries.includes('gateway/main')) {
      for (const folder of STATIC)
        fs.cpSync(path.join(root, 'src', folder), path.join(target, folder), { recursive: true });
    }
    const { output } = await bundling.write({
      dir: target,
      format: 'esm',
      chunkFileNames: 'chunks/[name]-[hash].js',
      ...LEAN,
    });
    await bundling.close();
    const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
    const licences = licencesOf(modules);
    if (licences !== '') fs.writeFileSync(path.join(target, 'THIRD_PARTY_LICENSES'), licences);
  } finally {
    fs.rmSync(compiled, { recursive: true });
  }
}

/** A module that looks for files from its own place finds them from there, whichever file it becomes part of: all are one folder deep. */
function keepPlaces(source: string): Plugin {
  return {
    name: 'keep-places',
    transform(code, id) {
      if (!id.startsWith(source) || !code.includes('import.meta.url')) return undefined;
      return code.replaceAll('import.meta.url', `new URL('../${path.relative(source, id)}', import.meta.url).href`);
    },
  };
}

function takeWhole(): Plugin {
  return {
    name: 'take-whole',
    resolveId: (id) => {
      const name = TAKEN_WHOLE.exec(id)?.[1];
      return name === undefined ? undefined : `${WHOLE}${name}`;
    },
    load: (id) =>
      id.startsWith(WHOLE) ? `module.exports = process.getBuiltinModule('node:${id.slice(WHOLE.length)}');` : undefined,
  };
}

function takeConstants(source: string): Plugin {
  return { name: 'take-constants', load: (id) => CONSTANTS.get(path.relative(source, id)) };
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
