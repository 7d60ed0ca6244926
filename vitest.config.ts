import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectConfiguration } from 'vitest/config';
import { SlowFiles } from './test/support/slow-files.ts';

const ENVIRONMENT = {
  ORT_DISABLE_TELEMETRY: '1',
  // On a busy machine the default objective refuses calls of tests that are not about it. Those that are set their own.
  TENSORGATE_OBJECTIVE_MS: '60000',
  // Servers of tests are no children of npm, whose shell swallows signals.
  npm_lifecycle_event: '',
};

/**
 * The tests that `npm test` leaves to `npm run test:all`: whole folders, and files that take long or need an outside tool. A
 * file of the quick suite ends within ten seconds on two cores, and needs no outside tool.
 */
export const FULL_SUITE_ONLY = [
  'test/{deploy,examples,faults,fuzz,interop,mesh}/**/*.test.ts',
  'test/**/*.full.test.ts',
];

const QUICK_FILE_MS = 10_000;

/** Whole servers that are asked over gRPC: they are asked over the reference transport as well. `.ci/long` runs all of them. */
const OVER_GRPC_JS = [
  'test/e2e/**/*.test.ts',
  'test/interop/**/*.test.ts',
  'test/faults/{deadlines,drain,overload,slow-reader}.test.ts',
];
const NOT_OVER_GRPC_JS = [
  // Only our transport refuses a call at its head.
  'test/e2e/control-costs.test.ts',
  // They start both transports.
  'test/e2e/{load-reports,ports}.test.ts',
];
const NOT_TWICE = [
  // They start the transports that they are about.
  'test/interop/{envoy*,grpc-interop,grpcio,h2load,h2spec,java-client}.test.ts',
  // They are about models, REST or speed, whichever transport asks, and long.
  'test/e2e/{ocr,onnx-conformance.full,rest,rest-pipelining,rollout.full,rows,text.full,voice-activity}.test.ts',
  'test/interop/{bench-judges,curl,go-client,langchain,model-analyzer,perf-analyzer,schemathesis,sentence-vectors,tokenizers,tritonclient-http}.test.ts',
];

/** Whole servers whose connections are accepted by two threads, and their faults: what their owner does, and what crosses between them. */
const OVER_ACCEPTORS = ['test/{e2e,faults,interop}/**/*.test.ts'];

/** The part of each second pass that `npm run test:rest` runs: the files that depend most on the transport. */
const REST_OVER_GRPC_JS = [
  'test/e2e/{error-details,health-and-reflection,overload,protocol,stream}.test.ts',
  'test/interop/{grpcurl,tritonclient}.test.ts',
  'test/faults/deadlines.test.ts',
];
const REST_OVER_ACCEPTORS = [
  'test/e2e/{control-costs,large-requests,stream}.test.ts',
  'test/faults/{deadlines,drain,landing}.test.ts',
];

/** `--mode quick` is the suite of `npm test`, `--mode rest` that of `npm run test:rest`. Without a mode, everything runs. */
export default defineConfig(({ mode }) => {
  const overH2 = mode === 'rest' ? FULL_SUITE_ONLY : ['test/**/*.test.ts'];
  const projects: TestProjectConfiguration[] = [
    {
      extends: true,
      test: { name: 'all', include: overH2, exclude: mode === 'quick' ? FULL_SUITE_ONLY : [], env: ENVIRONMENT },
    },
  ];
  if (mode !== 'quick') {
    projects.push({
      extends: true,
      test: {
        name: 'grpc-js',
        include: mode === 'rest' ? REST_OVER_GRPC_JS : OVER_GRPC_JS,
        exclude: [...NOT_TWICE, ...NOT_OVER_GRPC_JS],
        env: { ...ENVIRONMENT, TENSORGATE_TRANSPORT: 'grpc-js' },
      },
    });
    projects.push({
      extends: true,
      test: {
        name: 'acceptors',
        include: mode === 'rest' ? REST_OVER_ACCEPTORS : OVER_ACCEPTORS,
        exclude: NOT_TWICE,
        env: { ...ENVIRONMENT, TENSORGATE_ACCEPTORS: '2' },
      },
    });
  }
  return {
    test: {
      // Forks, never threads: a test that leaves an ONNX Runtime run in flight would abort a threaded vitest (exit 134).
      pool: 'forks',
      testTimeout: 60_000,
      hookTimeout: 120_000,
      // Vitest leaves one core to others, which is half of a machine with two. Tests of whole servers wait for most of their time.
      maxWorkers: Math.max(2, availableParallelism() - 1),
      ...(mode === 'quick' && { reporters: ['default', new SlowFiles(QUICK_FILE_MS)] }),
      projects,
    },
  };
});
