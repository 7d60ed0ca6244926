/** The rules of docs/design.md on who may know whom. Data first: a new file is covered when it appears. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const SOURCE = path.join(ROOT, 'src');

interface Import {
  /** As it is written: a relative path, or the name of a package. */
  readonly specifier: string;
  /** For a relative path the file it means, from `src/`. */
  readonly target: string | undefined;
}

interface SourceFile {
  /** From `src/`, such as `gateway/batch/batch.ts`. */
  readonly name: string;
  /** Without comments. */
  readonly text: string;
  readonly imports: readonly Import[];
}

const IMPORT = /\bfrom\s+'([^'$]+)'|\bimport\s*\(?\s*'([^'$]+)'/g;

function readSource(name: string): SourceFile {
  const text = fs
    .readFileSync(path.join(SOURCE, name), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '$1');
  const imports = [...text.matchAll(IMPORT)].map(([, from, bare]): Import => {
    const specifier = from ?? bare ?? '';
    const target = specifier.startsWith('.') ? path.posix.join(path.posix.dirname(name), specifier) : undefined;
    return { specifier, target };
  });
  return { name, text, imports };
}

const FILES = fs
  .readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.split(path.sep).join('/'))
  .sort()
  .map(readSource);

/** True where `name` is one of `places`, or in one that ends with a slash. */
function isIn(name: string, places: readonly string[]): boolean {
  return places.some((place) => (place.endsWith('/') ? name.startsWith(place) : name === place));
}

/** Facts of the language, of Node and of the package, which every place may use. */
const EVERYWHERE = ['error-message.ts', 'protocol-files.ts', 'timer-limit.ts'];

/** Every import of another file that breaks a rule, as `from -> to`. */
function trespasses(files: readonly string[], places: readonly string[]): string[] {
  const allowed = [...places, ...EVERYWHERE];
  return FILES.filter(({ name }) => isIn(name, files)).flatMap(({ name, imports }) =>
    imports.flatMap(({ target }) => (target === undefined || isIn(target, allowed) ? [] : [`${name} -> ${target}`])),
  );
}

test('there is something to check', () => {
  expect(FILES.length).toBeGreaterThan(50);
  expect(FILES.find(({ name }) => name === 'gateway/infer.ts')?.imports.map(({ target }) => target)).toContain(
    'gateway/encode/answer.ts',
  );
});

/** What each place may import besides itself. Of the stages, each sees those before it; nothing sees the next. */
const NEIGHBOURS: readonly { readonly place: string; readonly sees: readonly string[] }[] = [
  ...EVERYWHERE.map((place) => ({ place, sees: [] })),
  { place: 'wire/', sees: [] },
  { place: 'client/', sees: ['wire/'] },
  { place: 'worker/', sees: ['wire/'] },
  { place: 'http2/', sees: [] },
  {
    place: 'gateway/',
    sees: [
      'wire/',
      'http2/',
      'worker/protocol.ts',
      'worker/run-frame.ts',
      'worker/mailbox.ts',
      'worker/onnx-runtime-package.ts',
    ],
  },
  { place: 'gateway/errors.ts', sees: [] },
  { place: 'gateway/repository/', sees: ['wire/', 'worker/protocol.ts', 'worker/onnx-runtime-package.ts'] },
  {
    place: 'gateway/ops/',
    sees: [
      'wire/text-encoding.ts',
      'worker/',
      'gateway/',
      'gateway/accept/call.ts',
      'http2/limits.ts',
      'gateway/accept/http/http-answer.ts',
      'gateway/accept/http/http-limits.ts',
      'gateway/errors.ts',
      'gateway/repository/config/suggestion.ts',
      'gateway/repository/config/yaml-document.ts',
    ],
  },
  {
    place: 'gateway/accept/',
    sees: ['wire/', 'http2/', 'gateway/errors.ts', 'gateway/batch/refusals.ts', 'gateway/ops/diagnostics.ts'],
  },
  {
    place: 'gateway/admit/',
    sees: [
      'wire/',
      'gateway/accept/',
      'gateway/inference-record.ts',
      'gateway/models/',
      'gateway/errors.ts',
      'gateway/ops/diagnostics.ts',
      'gateway/repository/signature/length-axis.ts',
      'gateway/repository/signature/model-signature.ts',
      'gateway/repository/signature/row-axis.ts',
    ],
  },
  {
    place: 'gateway/batch/',
    sees: [
      'wire/',
      'worker/protocol.ts',
      'gateway/errors.ts',
      'gateway/ops/diagnostics.ts',
      'gateway/accept/call.ts',
      'gateway/admit/infer-tensors.ts',
      'gateway/admit/request-terms.ts',
      'gateway/repository/signature/length-axis.ts',
      'gateway/repository/signature/row-axis.ts',
      'gateway/repository/signature/sequence-signature.ts',
    ],
  },
  {
    place: 'gateway/dispatch/',
    sees: [
      'wire/',
      'worker/protocol.ts',
      'worker/run-frame.ts',
      'worker/mailbox.ts',
      'gateway/errors.ts',
      'gateway/ops/diagnostics.ts',
      'gateway/ops/garbage-collection.ts',
      'gateway/ops/machine-capacity.ts',
      'gateway/admit/infer-tensors.ts',
      'gateway/batch/',
      'gateway/repository/signature/length-axis.ts',
      'gateway/repository/signature/row-axis.ts',
    ],
  },
  {
    place: 'gateway/encode/',
    sees: [
      'wire/',
      'gateway/errors.ts',
      'gateway/ops/diagnostics.ts',
      'gateway/accept/call.ts',
      'gateway/admit/',
      'gateway/batch/queued-request.ts',
    ],
  },
  {
    place: 'compress/',
    sees: [
      'wire/',
      'worker/protocol.ts',
      'gateway/admit/infer-tensors.ts',
      'gateway/batch/batch.ts',
      'gateway/batch/queued-request.ts',
      'gateway/batch/run-outcome.ts',
      'gateway/dispatch/',
      'gateway/repository/',
      'gateway/models/trial/',
    ],
  },
  { place: 'compress/onnx/', sees: ['wire/half-precision.ts', 'compress/compress-error.ts'] },
  { place: 'compare/', sees: ['wire/', 'worker/protocol.ts', 'compress/', 'gateway/'] },
  { place: 'cli/', sees: ['wire/', 'client/', 'gateway/', 'compress/', 'compare/'] },
];

describe('dependencies', () => {
  test.each(NEIGHBOURS)('$place imports only what it may see', ({ place, sees }) => {
    expect(trespasses([place], [place, ...sees])).toEqual([]);
  });

  test('of the command line, serve, and what works on models without serving them, alone know the gateway', () => {
    const knowing = [
      'cli/serve.ts',
      'cli/doctor.ts',
      'cli/validate.ts',
      'cli/golden.ts',
      'cli/compress.ts',
      'cli/compress-data.ts',
      'cli/compress-surroundings.ts',
      'cli/compress-table.ts',
      'cli/pictures.ts',
      'cli/report-directory.ts',
      'cli/data/',
    ];
    const others = FILES.map(({ name }) => name).filter((name) => name.startsWith('cli/') && !isIn(name, knowing));
    expect(trespasses(others, ['cli/', 'client/', 'wire/'])).toEqual([]);
  });

  test('every place has its rule', () => {
    const unruled = FILES.filter(
      ({ name }) =>
        !isIn(
          name,
          NEIGHBOURS.map(({ place }) => place),
        ),
    );
    expect(unruled.map(({ name }) => name)).toEqual([]);
  });

  test('there are no cycles, not even of types', () => {
    const targets = new Map(FILES.map(({ name, imports }) => [name, imports.flatMap(({ target }) => target ?? [])]));
    const cycles: string[] = [];
    const done = new Set<string>();
    const visit = (name: string, trail: readonly string[]): void => {
      if (trail.includes(name)) cycles.push([...trail.slice(trail.indexOf(name)), name].join(' -> '));
      else if (!done.has(name)) for (const target of targets.get(name) ?? []) visit(target, [...trail, name]);
      done.add(name);
    };
    for (const { name } of FILES) visit(name, []);
    expect(cycles).toEqual([]);
  });
});

/** Where each library lives. What is not named here is used by nobody. */
const HOMES: readonly { readonly library: RegExp; readonly homes: readonly string[] }[] = [
  { library: /^@bufbuild\/protobuf/, homes: ['compress/'] },
  { library: /^@grpc\//, homes: ['gateway/accept/', 'client/'] },
  { library: /^grpc-health-check$/, homes: ['gateway/accept/'] },
  { library: /^onnxruntime-node$/, homes: ['worker/execution-provider.ts', 'worker/model-instance.ts'] },
  { library: /^piscina$/, homes: ['worker/runner.ts'] },
  { library: /^opossum$/, homes: ['gateway/dispatch/breaker.ts'] },
  { library: /^@opentelemetry\//, homes: ['gateway/ops/'] },
  { library: /^pino$/, homes: ['gateway/ops/log.ts'] },
  { library: /^yaml$/, homes: ['gateway/repository/config/yaml-document.ts'] },
  {
    library: /^zod$/,
    homes: [
      'gateway/ops/limit-settings.ts',
      'gateway/ops/setting-description.ts',
      'gateway/ops/settings.ts',
      'gateway/ops/settings-sources.ts',
      'gateway/repository/golden.ts',
      'gateway/repository/config/model-config.ts',
      'gateway/repository/config/config-schema.ts',
      'gateway/repository/config/schema-check.ts',
      'gateway/repository/version-number.ts',
      'gateway/repository/version-report.ts',
      'gateway/repository/config/json-document.ts',
      'gateway/repository/config/yaml-document.ts',
      'gateway/rollout/rollout-plan.ts',
      'gateway/rollout/rollout-record.ts',
      'gateway/rollout/rollout-request.ts',
      'compare/report.ts',
      'cli/rest-request.ts',
    ],
  },
  { library: /^commander$/, homes: ['cli/'] },
  { library: /^sharp$/, homes: ['cli/image-input.ts'] },
];

describe('libraries', () => {
  const used = FILES.flatMap(({ name, imports }) =>
    imports.flatMap(({ specifier, target }) =>
      target !== undefined || specifier.startsWith('node:') ? [] : [{ name, specifier }],
    ),
  );

  test('each lives in its home', () => {
    const strays = used.filter(({ name, specifier }) => {
      const home = HOMES.find(({ library }) => library.test(specifier));
      return home === undefined || !isIn(name, home.homes);
    });
    expect(strays).toEqual([]);
  });

  test('each is a dependency that users get, and not one of development', () => {
    const { dependencies } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
    const names = used.map(({ specifier }) => specifier.match(/^(@[^/]+\/)?[^/]+/)?.[0] ?? specifier);
    // The package brings the files of onnxruntime-node itself.
    const known = new Set(['onnxruntime-node', ...Object.keys(dependencies)]);
    expect([...new Set(names)].filter((name) => !known.has(name))).toEqual([]);
  });

  test("Node's own modules are named as such", () => {
    const bare = FILES.flatMap(({ imports }) => imports.map(({ specifier }) => specifier)).filter((specifier) =>
      /^(fs|path|os|net|http2?|events|stream|crypto|child_process|worker_threads)$/.test(specifier),
    );
    expect(bare).toEqual([]);
  });
});

/** What a file may do besides being imported. */
const ENTRIES: readonly { readonly what: string; readonly pattern: RegExp; readonly files: readonly string[] }[] = [
  {
    what: 'reads the environment',
    pattern: /\bprocess\.env\b/,
    files: [
      'cli/serve.ts',
      'cli/stop-signals.ts',
      'cli/doctor.ts',
      'cli/validate.ts',
      'cli/golden.ts',
      'cli/compress.ts',
    ],
  },
  { what: 'reads the arguments', pattern: /\bprocess\.argv\b/, files: ['cli/main.ts'] },
  {
    what: 'ends the process',
    pattern: /\bprocess\.exit\(/,
    files: ['cli/process-end.ts', 'cli/interruption.ts', 'worker/runner.ts'],
  },
  {
    what: 'hears signals',
    pattern: /\bprocess\.on\(/,
    files: ['cli/stop-signals.ts', 'worker/runner.ts'],
  },
  { what: 'kills processes', pattern: /\bprocess\.kill\(/, files: ['cli/process-end.ts', 'worker/runner.ts'] },
  {
    // A clock that may be set measures no duration: that is for performance.now().
    what: 'reads the wall clock, for times that people read and for libraries that take no other',
    pattern: /\bDate\.now\b|\bnew Date\b|\bDate\(/,
    files: [
      'cli/rollout.ts',
      'client/inference-client.ts',
      'compare/comparison.ts',
      'gateway/accept/grpc-js-call.ts',
      'gateway/batch/scheduler.ts',
      'gateway/models/model-statistics.ts',
      'gateway/rollout/rollout-record.ts',
    ],
  },
  { what: 'writes to the console', pattern: /\bconsole\./, files: ['cli/'] },
];

describe('effects', () => {
  test.each(ENTRIES)('only $files $what', ({ pattern, files }) => {
    const others = FILES.filter(({ name, text }) => pattern.test(text) && !isIn(name, files));
    expect(others.map(({ name }) => name)).toEqual([]);
  });
});

/**
 * Calls that hold the event loop while a file system answers, or while bytes are packed. The model repository may lie on a network
 * file system that hangs: what serves requests never waits for it.
 */
const SYNCHRONOUS: readonly { readonly file: string; readonly why: string }[] = [
  { file: 'gateway/ops/settings-sources.ts', why: 'reads tensorgate.yaml before anything serves' },
  {
    file: 'gateway/ops/machine-capacity.ts',
    why: 'reads what the system lets the process use, before anything serves',
  },
  {
    file: 'gateway/repository/config/config-pbtxt.ts',
    why: 'reads the protocol that is installed, before anything serves',
  },
  { file: 'gateway/accept/definition.ts', why: 'reads the protocol that is installed, before anything serves' },
  { file: 'gateway/accept/reflection-service.ts', why: 'reads the protocol that is installed, before anything serves' },
  { file: 'gateway/repository/arithmetic.ts', why: 'reads /proc/cpuinfo and a file that is installed, once' },
  { file: 'gateway/ops/diagnosis/', why: 'is tensorgate doctor, or looks before anything serves' },
  { file: 'gateway/dispatch/mailbox-room.ts', why: 'asks a memory file system how full it is' },
  { file: 'gateway/dispatch/runner-memory.ts', why: 'reads /proc' },
  { file: 'worker/', why: 'lies on a memory file system, or runs in a runner' },
  { file: 'cli/', why: 'serves nothing' },
  { file: 'client/', why: 'reads the protocol that is installed, when it is imported' },
];

test('only what cannot hold up a request calls synchronous functions of files and compression', () => {
  const calling = FILES.filter(({ text }) => /\b(?!#)[a-z]\w*Sync\(/.test(text)).map(({ name }) => name);
  const allowed = SYNCHRONOUS.map(({ file }) => file);
  expect(calling.filter((name) => !isIn(name, allowed))).toEqual([]);
  // An exception that nothing needs any more goes.
  expect(allowed.filter((place) => !calling.some((name) => isIn(name, [place])))).toEqual([]);
});

/** Forms that are not used. */
const FORMS: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  { what: 'a default export', pattern: /\bexport\s+default\b|\bexport\s*\{[^}]*\bas\s+default\b/ },
  { what: 'a barrel', pattern: /\bexport\s+\*\s+from\b/ },
  {
    what: 'an enum, a namespace or a parameter property',
    pattern: /^\s*(export\s+)?(const\s+)?(enum|namespace)\s+\w+|constructor\s*\([^)]*\b(private|public|protected)\s/m,
  },
];

describe('forms', () => {
  test.each(FORMS)('nobody has $what', ({ pattern }) => {
    expect(FILES.filter(({ text }) => pattern.test(text)).map(({ name }) => name)).toEqual([]);
  });

  test('a relative import ends with .ts, and means a file that is there', () => {
    const lost = FILES.flatMap(({ name, imports }) =>
      imports
        .filter(({ target }) => target !== undefined && !FILES.some((file) => file.name === target))
        .map(({ specifier }) => `${name}: ${specifier}`),
    );
    expect(lost).toEqual([]);
  });

  test('files are named by one noun each, in kebab case, and none is a drawer', () => {
    const drawers = /^(utils?|common|helpers?|types|misc|shared|lib|index|constants)$/;
    const odd = FILES.map(({ name }) => name).filter((name) =>
      name
        // Generated files have their generator's name.
        .replace(/(_pb)?\.ts$/, '')
        .split('/')
        .some((part) => drawers.test(part) || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(part)),
    );
    expect(odd).toEqual([]);
  });
});
