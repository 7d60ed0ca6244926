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
  readonly lines: number;
  readonly imports: readonly Import[];
}

const IMPORT = /\bfrom\s+'([^'$]+)'|\bimport\s*\(?\s*'([^'$]+)'/g;

function readSource(name: string): SourceFile {
  const source = fs.readFileSync(path.join(SOURCE, name), 'utf8');
  const text = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
  const imports = [...text.matchAll(IMPORT)].map(([, from, bare]): Import => {
    const specifier = from ?? bare ?? '';
    const target = specifier.startsWith('.') ? path.posix.join(path.posix.dirname(name), specifier) : undefined;
    return { specifier, target };
  });
  return { name, text, lines: source.split('\n').length - 1, imports };
}

const FILES = fs
  .readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  // The client's own `dist` is there while it is packed.
  .filter((name) => name.endsWith('.ts') && !name.startsWith(path.join('client', 'dist')))
  .map((name) => name.split(path.sep).join('/'))
  .sort()
  .map(readSource);

/** True where `name` is one of `places`, or in one that ends with a slash. */
function isIn(name: string, places: readonly string[]): boolean {
  return places.some((place) => (place.endsWith('/') ? name.startsWith(place) : name === place));
}

/** Facts of the language, of Node and of the package, which every place may use. */
const EVERYWHERE = [
  'bag.ts',
  'early-optimization.ts',
  'error-message.ts',
  'mailbox-directory.ts',
  'mutex.ts',
  'protocol-files.ts',
  'shell-word.ts',
  'source-threads.ts',
  'suggestion.ts',
  'timer-limit.ts',
];

test('there is something to check', () => {
  expect(FILES.length).toBeGreaterThan(50);
  expect(FILES.find(({ name }) => name === 'gateway/infer.ts')?.imports.map(({ target }) => target)).toContain(
    'gateway/encode/answer.ts',
  );
});

/** A folder, or a file that is a room of its own. */
interface Room {
  readonly room: string;
  /** The other rooms that it imports from. */
  readonly sees: readonly string[];
  /** Its files that others may import; `undefined` for a file. */
  readonly doors?: readonly string[];
}

/**
 * Each room sees only rooms above it: no arrow goes up. Nothing imports the inside of another room: only its doors. A room that
 * lies in another one, such as `models/trial/`, is a room of its own.
 */
const ROOMS: readonly Room[] = [
  {
    room: 'wire/',
    sees: [],
    doors: [
      'bytes-tensor.ts',
      'descriptors.ts',
      'error-details.ts',
      'exact-json.ts',
      'float-elements.ts',
      'half-precision.ts',
      'infer-parameter.ts',
      'infer-request.ts',
      'infer-response.ts',
      'json-bytes.ts',
      'json-reader.ts',
      'json-tensor-reader.ts',
      'json-tensor-writer.ts',
      'json-tensor.ts',
      'limits.ts',
      'load-report.ts',
      'message-codec.ts',
      'model-explanation.ts',
      'repository-request.ts',
      'rpc-messages.ts',
      'stream-status.ts',
      'tensor-bytes.ts',
      'tensor-comparison.ts',
      'tensor.ts',
      'text-encoding.ts',
      'typed-contents-writing.ts',
      'typed-contents.ts',
    ],
  },
  {
    room: 'http2/',
    sees: [],
    doors: [
      'byte-budget.ts',
      'connection-group.ts',
      'error-code.ts',
      'exchange.ts',
      'header-field.ts',
      'hpack-encoder.ts',
      'hpack-table.ts',
      'id-table.ts',
      'lent-memory.ts',
      'limits.ts',
      'own-buffer.ts',
      'peer.ts',
      'protocol.ts',
      'request-head.ts',
      'response-headers.ts',
      'server.ts',
      'stream-state.ts',
      'stream.ts',
      'tls-identity.ts',
      'way-back.ts',
    ],
  },
  {
    room: 'onnx/',
    sees: [],
    doors: ['model-outline.ts', 'model-rewriting.ts', 'onnx_pb.ts', 'protobuf-field.ts', 'rewriting-plan.ts'],
  },
  {
    room: 'worker/',
    sees: ['wire/', 'onnx/'],
    doors: [
      'call-frame.ts',
      'mailbox.ts',
      'onnx-runtime-package.ts',
      'protocol.ts',
      'run-failure.ts',
      'run-frame.ts',
      'run-outcome.ts',
      'step-spec.ts',
      'steps/pooling.ts',
      'steps/tokenizer.ts',
      'unnamed-file.ts',
    ],
  },
  { room: 'client/', sees: ['wire/'], doors: ['inference-client.ts', 'tensor.ts'] },
  { room: 'gateway/errors.ts', sees: [] },
  { room: 'gateway/landing/', sees: ['wire/', 'worker/'], doors: ['arriving.ts', 'borrowed-tensors.ts', 'landing.ts'] },
  {
    room: 'gateway/repository/',
    sees: ['wire/', 'onnx/', 'worker/'],
    doors: [
      'arithmetic.ts',
      'config/code-model.ts',
      'config/config-file.ts',
      'config/data-types.ts',
      'config/model-config.ts',
      'config/session-options.ts',
      'config/step-schema.ts',
      'config/version-policy.ts',
      'config/yaml-document.ts',
      'disk.ts',
      'fingerprint.ts',
      'golden.ts',
      'model-file.ts',
      'model-files.ts',
      'model-repository.ts',
      'model-weights.ts',
      'npz-archive.ts',
      'opened-repository.ts',
      'part-name.ts',
      'signature/batching-description.ts',
      'signature/ensemble-graph.ts',
      'signature/ensemble-signature.ts',
      'signature/length-axis.ts',
      'signature/model-signature.ts',
      'signature/row-axis.ts',
      'signature/sequence-signature.ts',
      'signature/signature-sources.ts',
      'version-number.ts',
      'version-report.ts',
      'warm-up-sample.ts',
    ],
  },
  {
    room: 'gateway/ops/',
    sees: ['wire/', 'http2/', 'worker/', 'gateway/errors.ts', 'gateway/repository/'],
    doors: [
      'audit.ts',
      'capacity.ts',
      'diagnostics.ts',
      'exposition.ts',
      'garbage-collection.ts',
      'gateway-state.ts',
      'history/history.ts',
      'history/latency-buckets.ts',
      'history/notable-events.ts',
      'history/version-history.ts',
      'http-limits.ts',
      'label-values.ts',
      'limit-setting-name.ts',
      'limit-settings.ts',
      'machine-capacity.ts',
      'setting-description.ts',
      'settings-error.ts',
      'settings-loading.ts',
      'settings-sources.ts',
      'settings.ts',
      'telemetry.ts',
    ],
  },
  {
    room: 'gateway/accept/',
    sees: ['wire/', 'http2/', 'gateway/errors.ts', 'gateway/landing/', 'gateway/ops/'],
    doors: [
      'acceptors/acceptor-protocol.ts',
      'acceptors/acceptors.ts',
      'acceptors/forwarder.ts',
      'bind.ts',
      'call.ts',
      'cancellation.ts',
      'control-service.ts',
      'derived-call.ts',
      'failure.ts',
      'grpc-js-transport.ts',
      'grpc/http2-transport.ts',
      'grpc/tls.ts',
      'health-service.ts',
      'http/http-answer.ts',
      'inference-service.ts',
      'load-reports.ts',
      'messages.ts',
      'page/page-server.ts',
      'page/snapshot.ts',
      'rollout-service.ts',
      'sliced-work.ts',
      'stream-infer.ts',
      'traffic-service.ts',
      'waiter.ts',
    ],
  },
  {
    room: 'gateway/admit/',
    sees: ['wire/', 'gateway/errors.ts', 'gateway/repository/', 'gateway/ops/', 'gateway/accept/'],
    doors: [
      'admission.ts',
      'decode.ts',
      'early-refusal.ts',
      'infer-tensors.ts',
      'large-inputs.ts',
      'large-request.ts',
      'request-parameters.ts',
      'request-terms.ts',
      'requested-outputs.ts',
      'validate.ts',
    ],
  },
  {
    room: 'gateway/batch/',
    sees: [
      'wire/',
      'worker/',
      'gateway/errors.ts',
      'gateway/repository/',
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
    ],
    doors: [
      'batch.ts',
      'admission-slack.ts',
      'batcher.ts',
      'cache/response-cache.ts',
      'code-calls.ts',
      'cost-model.ts',
      'device.ts',
      'executor.ts',
      'forecast.ts',
      'objective.ts',
      'occupancy.ts',
      'output-limit.ts',
      'padding.ts',
      'queue-policy.ts',
      'queued-request.ts',
      'refusals.ts',
      'scheduler.ts',
      'sequence/sequence-batcher.ts',
      'stripes.ts',
      'tenants.ts',
      'waiting.ts',
    ],
  },
  {
    room: 'gateway/dispatch/',
    sees: ['wire/', 'worker/', 'gateway/repository/', 'gateway/ops/', 'gateway/admit/', 'gateway/batch/'],
    doors: [
      'breaker.ts',
      'device-set.ts',
      'instance-group.ts',
      'mailbox-room.ts',
      'outage.ts',
      'process-memory.ts',
      'runner-process.ts',
      'runner-set.ts',
      'runner.ts',
    ],
  },
  {
    room: 'gateway/encode/',
    sees: ['wire/', 'gateway/errors.ts', 'gateway/ops/', 'gateway/accept/', 'gateway/admit/', 'gateway/batch/'],
    doors: ['answer.ts', 'timing-trailers.ts'],
  },
  {
    room: 'gateway/models/trial/',
    sees: ['wire/', 'worker/', 'gateway/repository/', 'gateway/admit/', 'gateway/batch/'],
    doors: [
      'axis-doubt.ts',
      'batch-gain.ts',
      'failed-run.ts',
      'golden-check.ts',
      'npz-rows.ts',
      'padding-independence.ts',
      'patient-run.ts',
      'row-independence.ts',
      'synthetic-input.ts',
      'tally.ts',
      'trial-findings.ts',
      'warm-up-run.ts',
      'warm-up.ts',
    ],
  },
  {
    room: 'gateway/models/',
    sees: [
      'wire/',
      'worker/',
      'gateway/errors.ts',
      'gateway/repository/',
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/batch/',
      'gateway/dispatch/',
      'gateway/models/trial/',
    ],
    doors: [
      'code/call-gateway.ts',
      'input-recorder.ts',
      'load-failures.ts',
      'message-needs.ts',
      'model-plan.ts',
      'model-statistics.ts',
      'model-table.ts',
      'model.ts',
      'planned-version.ts',
      'readiness.ts',
      'sample-request.ts',
      'servable.ts',
      'traffic.ts',
      'version-choice.ts',
    ],
  },
  {
    room: 'gateway/inference-record.ts',
    sees: [
      'wire/',
      'gateway/errors.ts',
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/batch/',
      'gateway/models/',
    ],
  },
  {
    room: 'gateway/models/ensemble/',
    sees: [
      'wire/',
      'gateway/errors.ts',
      'gateway/repository/',
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/batch/',
      'gateway/models/',
      'gateway/inference-record.ts',
    ],
    doors: ['ensemble.ts'],
  },
  {
    room: 'gateway/models/lifecycle/',
    sees: [
      'gateway/errors.ts',
      'gateway/repository/',
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/dispatch/',
      'gateway/models/',
      'gateway/models/ensemble/',
    ],
    doors: [],
  },
  {
    room: 'gateway/rollout/',
    sees: [
      'wire/',
      'gateway/errors.ts',
      'gateway/repository/',
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/batch/',
      'gateway/models/',
      'gateway/inference-record.ts',
    ],
    doors: [
      'agreement.ts',
      'evidence.ts',
      'rollout-request.ts',
      'rollouts.ts',
      'shadow-ledger.ts',
      'shadow.ts',
      'stage.ts',
    ],
  },
  {
    room: 'gateway/infer.ts',
    sees: [
      'wire/',
      'gateway/errors.ts',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/encode/',
      'gateway/models/',
      'gateway/inference-record.ts',
      'gateway/rollout/',
    ],
  },
  {
    room: 'gateway/infer-stream.ts',
    sees: [
      'wire/',
      'gateway/errors.ts',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/inference-record.ts',
      'gateway/infer.ts',
    ],
  },
  {
    room: 'gateway/infer-within.ts',
    sees: ['gateway/accept/', 'gateway/inference-record.ts', 'gateway/infer.ts'],
  },
  {
    room: 'gateway/api/',
    sees: [
      'wire/',
      'gateway/errors.ts',
      'gateway/repository/',
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/encode/',
      'gateway/models/',
      'gateway/inference-record.ts',
      'gateway/rollout/',
      'gateway/infer.ts',
      'gateway/infer-stream.ts',
      'gateway/infer-within.ts',
    ],
    doors: [],
  },
  {
    room: 'gateway/ops/diagnosis/',
    sees: ['worker/', 'gateway/repository/', 'gateway/ops/', 'gateway/accept/', 'gateway/dispatch/', 'gateway/models/'],
    doors: ['diagnose.ts', 'repository-check.ts'],
  },
  { room: 'gateway/acceptor-thread.ts', sees: ['http2/', 'gateway/landing/', 'gateway/ops/', 'gateway/accept/'] },
  {
    room: 'gateway/transport.ts',
    sees: ['http2/', 'gateway/landing/', 'gateway/ops/', 'gateway/accept/', 'gateway/dispatch/'],
  },
  {
    room: 'gateway/main.ts',
    sees: [
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/dispatch/',
      'gateway/models/',
      'gateway/models/lifecycle/',
      'gateway/rollout/',
      'gateway/api/',
      'gateway/ops/diagnosis/',
      'gateway/transport.ts',
    ],
  },
  {
    room: 'embed/',
    sees: ['gateway/repository/', 'gateway/ops/', 'gateway/main.ts'],
    doors: ['server-start.ts'],
  },
  {
    room: 'testing/',
    sees: [
      'wire/',
      'client/',
      'gateway/errors.ts',
      'gateway/repository/',
      'gateway/ops/',
      'gateway/accept/',
      'gateway/admit/',
      'gateway/batch/',
      'gateway/models/',
      'embed/',
    ],
    doors: [],
  },
  {
    room: 'compress/',
    sees: [
      'wire/',
      'onnx/',
      'worker/',
      'gateway/repository/',
      'gateway/admit/',
      'gateway/batch/',
      'gateway/dispatch/',
      'gateway/models/trial/',
    ],
    doors: [
      'calibration.ts',
      'compress-error.ts',
      'compress.ts',
      'dynamic-quantization.ts',
      'note.ts',
      'onnx/graph.ts',
      'onnx/model-file.ts',
      'optimized-model.ts',
      'runner-session.ts',
      'technique.ts',
    ],
  },
  {
    room: 'compare/',
    sees: [
      'wire/',
      'worker/',
      'gateway/repository/',
      'gateway/admit/',
      'gateway/batch/',
      'gateway/models/trial/',
      'gateway/models/',
      'gateway/rollout/',
      'compress/',
    ],
    doors: [
      'candidates.ts',
      'class-output.ts',
      'comparison.ts',
      'contender.ts',
      'embedding.ts',
      'gates.ts',
      'golden-record.ts',
      'made-up.ts',
      'page/document.ts',
      'page/figure.ts',
      'page/format.ts',
      'page/markup.ts',
      'page/page.ts',
      'page/scale.ts',
      'publish.ts',
      'published.ts',
      'report.ts',
      'sample.ts',
      'target.ts',
      'text-tokens.ts',
    ],
  },
  {
    room: 'bench/',
    sees: ['wire/', 'client/', 'compare/'],
    doors: [
      'arrivals.ts',
      'call-target.ts',
      'comparison.ts',
      'grpc-target.ts',
      'level.ts',
      'load-message.ts',
      'load-processes.ts',
      'load-sender.ts',
      'open-target.ts',
      'page/bench-page.ts',
      'rest-target.ts',
      'result.ts',
      'statistics.ts',
      'verdict.ts',
    ],
  },
  {
    room: 'cli/',
    sees: [
      'wire/',
      'client/',
      'gateway/repository/',
      'gateway/ops/',
      'gateway/admit/',
      'gateway/dispatch/',
      'gateway/models/trial/',
      'gateway/ops/diagnosis/',
      'gateway/main.ts',
      'compress/',
      'compare/',
      'bench/',
    ],
    doors: [],
  },
];

/** It puts the gateway together, so it opens every room of it. */
const COMPOSITION = 'gateway/main.ts';

/** The room of a file: of rooms that lie in each other, the innermost. */
function roomOf(name: string): Room | undefined {
  return ROOMS.filter(({ room }) => isIn(name, [room])).sort((a, b) => b.room.length - a.room.length)[0];
}

interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly fromRoom: string;
  readonly toRoom: string;
}

/** Imports that leave a room. */
const ARROWS: readonly Arrow[] = FILES.flatMap(({ name, imports }) =>
  imports.flatMap(({ target }) => {
    const fromRoom = roomOf(name)?.room ?? name;
    const toRoom = target === undefined ? fromRoom : (roomOf(target)?.room ?? target);
    return target === undefined || fromRoom === toRoom ? [] : [{ from: name, to: target, fromRoom, toRoom }];
  }),
);

function textOf({ from, to }: Pick<Arrow, 'from' | 'to'>): string {
  return `${from} -> ${to}`;
}

describe('rooms', () => {
  test('every file is in a room, or is one that all may import', () => {
    expect(
      FILES.map(({ name }) => name)
        .filter((name) => roomOf(name) === undefined)
        .sort(),
    ).toEqual(EVERYWHERE);
  });

  test.each(ROOMS)('$room imports only from rooms that it sees', ({ room, sees }) => {
    const arrows = ARROWS.filter(({ fromRoom, to }) => fromRoom === room && !EVERYWHERE.includes(to));
    expect(arrows.filter(({ toRoom }) => !sees.includes(toRoom)).map(textOf)).toEqual([]);
    expect(sees.filter((seen) => !arrows.some(({ toRoom }) => toRoom === seen))).toEqual([]);
  });

  test('no room sees one below it', () => {
    const rooms = ROOMS.map(({ room }) => room);
    const up = ROOMS.flatMap(({ room, sees }, at) =>
      sees.filter((seen) => rooms.indexOf(seen) >= at || !rooms.includes(seen)).map((seen) => `${room} -> ${seen}`),
    );
    expect(up).toEqual([]);
  });

  test.each(ROOMS)('only the doors of $room are imported, and each door is used', ({ room, doors }) => {
    if (doors === undefined) return;
    const files = doors.map((door) => `${room}${door}`);
    const arrows = ARROWS.filter(({ toRoom, from }) => toRoom === room && from !== COMPOSITION);
    expect(arrows.filter(({ to }) => !files.includes(to)).map(textOf)).toEqual([]);
    expect(files.filter((file) => !arrows.some(({ to }) => to === file))).toEqual([]);
  });

  test('src/http2 could be a package: it imports nothing of the product', () => {
    expect(ARROWS.filter(({ fromRoom }) => fromRoom === 'http2/').map(textOf)).toEqual([]);
  });

  test('only serve and the commands that work on models without serving them import the gateway', () => {
    const knowing = [
      'cli/serve.ts',
      'cli/start-report.ts',
      'cli/sample-commands.ts',
      'cli/loading-line.ts',
      'cli/doctor.ts',
      'cli/explain.ts',
      'cli/trial-server.ts',
      'cli/setting-groups.ts',
      'cli/setting-options.ts',
      'cli/validate.ts',
      'cli/golden.ts',
      'cli/compress.ts',
      'cli/compress-data.ts',
      'cli/compress-shared.ts',
      'cli/compress-table.ts',
      'cli/pictures.ts',
      'cli/report-directory.ts',
      'cli/bench/',
      'cli/data/',
    ];
    const strangers = ARROWS.filter(({ fromRoom, from }) => fromRoom === 'cli/' && !isIn(from, knowing));
    expect(strangers.filter(({ to }) => !isIn(to, ['client/', 'wire/', ...EVERYWHERE])).map(textOf)).toEqual([]);
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

/** Where each library lives. No one uses a library that is not named here. */
const HOMES: readonly { readonly library: RegExp; readonly homes: readonly string[] }[] = [
  { library: /^@bufbuild\/protobuf/, homes: ['compress/', 'onnx/'] },
  { library: /^@grpc\//, homes: ['gateway/accept/', 'client/', 'bench/grpc-target.ts'] },
  { library: /^onnxruntime-node$/, homes: ['worker/execution-provider.ts', 'worker/model-instance.ts'] },
  { library: /^@huggingface\/tokenizers$/, homes: ['worker/steps/tokenizer-library.ts'] },
  { library: /^piscina$/, homes: ['worker/runner.ts'] },
  { library: /^opossum$/, homes: ['gateway/dispatch/breaker.ts'] },
  { library: /^@opentelemetry\//, homes: ['gateway/ops/', 'client/trace-propagation.ts'] },
  { library: /^pino$/, homes: ['gateway/ops/log-lines.ts'] },
  { library: /^yaml$/, homes: ['gateway/repository/config/yaml-document.ts'] },
  {
    library: /^zod$/,
    homes: [
      'gateway/ops/limit-settings.ts',
      'gateway/ops/settings-json-schema.ts',
      'gateway/ops/settings.ts',
      'gateway/ops/web-settings.ts',
      'gateway/ops/settings-sources.ts',
      'gateway/repository/golden.ts',
      'gateway/repository/config/config-values.ts',
      'gateway/repository/config/model-config.ts',
      'gateway/repository/config/own-section.ts',
      'gateway/repository/config/scheduling-schema.ts',
      'gateway/repository/config/config-schema.ts',
      'gateway/repository/config/schema-check.ts',
      'gateway/repository/config/step-schema.ts',
      'gateway/repository/config/image-section.ts',
      'gateway/repository/version-number.ts',
      'gateway/repository/version-report.ts',
      'gateway/repository/config/json-document.ts',
      'gateway/repository/config/yaml-document.ts',
      'gateway/rollout/rollout-plan.ts',
      'gateway/rollout/rollout-record.ts',
      'gateway/rollout/rollout-request.ts',
      'compare/report.ts',
      'bench/result.ts',
      'cli/bench/rest-server.ts',
      'cli/rest-request.ts',
    ],
  },
  { library: /^commander$/, homes: ['cli/'] },
  { library: /^sharp$/, homes: ['cli/image-input.ts', 'worker/steps/image-decoder.ts'] },
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

  test('each home is used: a library that left the code leaves the table', () => {
    const unused = HOMES.flatMap(({ library, homes }) =>
      homes.filter((home) => !used.some(({ name, specifier }) => library.test(specifier) && isIn(name, [home]))),
    );
    expect(unused).toEqual([]);
  });

  test('each dependency is in the table of docs/design.md that says what it does', () => {
    const page = fs.readFileSync(path.join(ROOT, 'docs/design.md'), 'utf8');
    const [, section = ''] = page.split('\n## What each package does here\n');
    const [table = ''] = section.split('\n## ');
    const names = new Set(used.map(({ specifier }) => specifier.match(/^(@[^/]+\/)?[^/]+/)?.[0] ?? specifier));
    // The other packages of OpenTelemetry are parts of its SDK.
    const missing = [...names].filter((name) => !name.startsWith('@opentelemetry/') && !table.includes(name));
    expect(missing).toEqual([]);
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
      'cli/main.ts',
      'embed/server-start.ts',
      'cli/serve.ts',
      'cli/stop-signals.ts',
      'cli/trial-server.ts',
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
    files: ['bench/load-process.ts', 'cli/stop-signals.ts', 'worker/runner.ts'],
  },
  { what: 'kills processes', pattern: /\bprocess\.kill\(/, files: ['cli/process-end.ts', 'worker/runner.ts'] },
  {
    // A clock that may be set measures no duration: that is for performance.now().
    what: 'reads the wall clock, for times that people read and for libraries that take no other',
    pattern: /\bDate\.now\b|\bnew Date\b|\bDate\(/,
    files: [
      'bench/grpc-target.ts',
      'cli/bench/run-bench.ts',
      'cli/rollout.ts',
      'client/channel-settings.ts',
      'compare/comparison.ts',
      'gateway/accept/grpc-js-call.ts',
      'gateway/accept/page/event-stream.ts',
      'gateway/api/server-snapshot.ts',
      'gateway/batch/batch-runs.ts',
      'gateway/models/model-statistics.ts',
      'gateway/ops/distribution.ts',
      'gateway/ops/history/history.ts',
      'gateway/rollout/rollout-record.ts',
    ],
  },
  // One holder at a time: `Call.onCancel`.
  { what: 'takes the cancellation of a call', pattern: /\.onCancel = /, files: ['gateway/accept/'] },
  { what: 'writes to the console', pattern: /\bconsole\./, files: ['cli/', 'worker/steps/javascript.ts'] },
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
  { file: 'gateway/repository/arithmetic.ts', why: 'reads /proc/cpuinfo and a file that is installed, once' },
  { file: 'gateway/ops/diagnosis/', why: 'is tensorgate doctor, or looks before anything serves' },
  { file: 'gateway/dispatch/mailbox-room.ts', why: 'asks a memory file system how full it is' },
  { file: 'gateway/dispatch/runner-memory.ts', why: 'reads /proc' },
  { file: 'gateway/landing/', why: 'writes to a memory file system, at most a received chunk at a time' },
  { file: 'worker/', why: 'lies on a memory file system, or runs in a runner' },
  { file: 'cli/', why: 'serves nothing' },
  { file: 'embed/', why: 'reads package.json before anything serves' },
  {
    file: 'client/',
    why: 'reads the protocol that is installed, at the first call that needs it, and PEM files where a client is made',
  },
  { file: 'mailbox-directory.ts', why: 'one look when the program starts' },
];

test('only what cannot hold up a request calls synchronous functions of files and compression', () => {
  const calling = FILES.filter(({ text }) => /\b(?!#)[a-z]\w*Sync\(/.test(text)).map(({ name }) => name);
  const allowed = SYNCHRONOUS.map(({ file }) => file);
  expect(calling.filter((name) => !isIn(name, allowed))).toEqual([]);
  // An exception that nothing needs any more goes.
  expect(allowed.filter((place) => !calling.some((name) => isIn(name, [place])))).toEqual([]);
});

/** Types of plain objects whose keys are any texts. */
const KEYED =
  /(?:\bconst |\blet |\breadonly |[(,{]\s*|^\s*|#)([A-Za-z_]\w*)\??: (?:Readonly<)?(?:Record<string,|\{\s*(?:-?readonly )?\[\w+: string\]|JsonObject\b|JsonRecord\b|PathNames\b|Trailers\b|Parameters\b|Inputs\b|NodeJS\.ProcessEnv\b)/gm;

/**
 * Reads of a plain object by a computed key. A name that people choose (of an input, a model, a header) may be `constructor`, which
 * every object has: such names are keys of a Map, or are looked up behind `Object.hasOwn`.
 */
const COMPUTED_KEYS: readonly { readonly read: string; readonly why: string }[] = [
  { read: 'cli/compress-command.ts UNITS[unit]', why: 'a regular expression bounds the units' },
  { read: 'cli/rollout-command.ts UNITS_MS[unit]', why: 'a regular expression bounds the units' },
  { read: 'compare/page/markup.ts ESCAPES[character]', why: 'one character of a few' },
  { read: "gateway/accept/bind.ts ADVICE[cause.code ?? '']", why: 'a code of the system' },
  { read: 'gateway/accept/grpc-js-http2.ts headers[DEFAULT_DEADLINE_KEY]', why: 'a constant' },
  { read: 'gateway/accept/http/http-port.ts REFUSALS[code]', why: "a code of Node's parser" },
  { read: 'gateway/accept/rest/json-field.ts object[key]', why: 'an object without a prototype, by keys of ours' },
  { read: 'gateway/accept/rest/load-body.ts fields[key]', why: 'an object without a prototype' },
  { read: 'gateway/accept/rest/open-api.ts BODIES[route.rpc]', why: 'routes of ours' },
  { read: 'gateway/accept/rest/open-api.ts HEALTH[route.rpc]', why: 'routes of ours' },
  { read: 'gateway/accept/rest/open-api.ts HEALTH[rpc]', why: 'routes of ours' },
  { read: 'gateway/accept/rest/open-api.ts paths[route.path]', why: 'routes of ours' },
  { read: 'gateway/accept/rest/repository-routes.ts parameters[key]', why: 'keys of the object itself' },
  { read: 'gateway/accept/timeout-header.ts UNIT_MS[match?.[2]', why: 'a regular expression bounds the units' },
  { read: 'gateway/models/trial/row-independence.ts ROUNDING[alone.datatype]', why: 'a datatype' },
  { read: 'gateway/ops/settings-sources.ts env[name]', why: 'variables of ours' },
  { read: 'gateway/ops/settings-sources.ts env[origin]', why: 'variables of ours' },
  { read: 'gateway/ops/settings-sources.ts env[vertex]', why: 'variables of ours' },
  { read: 'gateway/ops/settings-sources.ts flags[setting.key]', why: 'settings of ours' },
  { read: 'gateway/repository/config/session-options.ts parameters[key]', why: 'parameters of ours' },
  { read: 'gateway/repository/config/text-format-scalar.ts SIMPLE_ESCAPES[simple]', why: 'one character of a few' },
  { read: 'gateway/repository/signature/pad-value.ts RANGES[datatype]', why: 'a datatype' },
  { read: 'gateway/rollout/rollout-request.ts given[field]', why: 'fields of ours, which a schema has checked' },
  { read: 'gateway/rollout/rollout-request.ts got[key]', why: 'fields of ours, which a schema has checked' },
  {
    read: 'worker/model-instance.ts feeds[floatInputs.get(place.name) ?? place.name]',
    why: 'an object without a prototype',
  },
  { read: 'worker/model-instance.ts feeds[place.name]', why: 'an object without a prototype' },
  { read: 'worker/steps/code-calls.ts outputs[output.name]', why: 'an object without a prototype' },
  { read: 'worker/steps/code-rows.ts values[tensor.name]', why: 'an object without a prototype' },
];

test('no plain object is read by a name from outside, unless it is behind Object.hasOwn', () => {
  const reads = FILES.filter(({ name }) => !name.endsWith('_pb.ts')).flatMap(({ name, text }) => {
    // What Node and the library of gRPC give.
    const keyed = new Set(['headers', 'metadata', 'parameters', ...[...text.matchAll(KEYED)].map(([, id]) => id)]);
    return [...text.matchAll(/\b([A-Za-z_]\w*)\)?\[(?!['"\d])([A-Za-z_#][^\]]*)\]/g)].flatMap(([read, id]) =>
      keyed.has(id) && !text.includes(`Object.hasOwn(${id}`) ? [`${name} ${read}`] : [],
    );
  });
  const known = COMPUTED_KEYS.map(({ read }) => read);
  expect([...new Set(reads)].filter((read) => !known.includes(read)).sort()).toEqual([]);
  expect(known.filter((read) => !reads.includes(read))).toEqual([]);
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
  test.each(FORMS)('no one has $what', ({ pattern }) => {
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

const MAX_LINES = 300;

/** Files of more lines. This list only gets shorter, and its numbers only smaller. */
const LONG_FILES: Readonly<Record<string, number>> = {};

/** By so much may a file be shorter than its number says. */
const SLACK_LINES = 20;

test('a file has at most 300 lines, and those that had more become shorter', () => {
  const files = FILES.filter(({ name }) => !name.endsWith('_pb.ts')).map(({ name, lines }) => ({
    name,
    lines,
    most: LONG_FILES[name] ?? MAX_LINES,
  }));
  expect(files.filter(({ lines, most }) => lines > most)).toEqual([]);
  const outdated = files.filter(({ name, lines, most }) => {
    return name in LONG_FILES && (lines <= MAX_LINES || lines < most - SLACK_LINES);
  });
  expect(outdated).toEqual([]);
  expect(Object.keys(LONG_FILES).filter((name) => !files.some((file) => file.name === name))).toEqual([]);
});
