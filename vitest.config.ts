import { defineConfig } from 'vitest/config';

const ENVIRONMENT = {
  ORT_DISABLE_TELEMETRY: '1',
  // On a busy machine the default objective refuses calls of tests that are not about it. Those that are set their own.
  TENSORGATE_OBJECTIVE_MS: '60000',
};

/** Whole servers that are asked over gRPC: they are asked over the reference transport as well. */
const OVER_GRPC_JS = [
  'test/e2e/**/*.test.ts',
  'test/interop/**/*.test.ts',
  'test/faults/{deadlines,drain,overload,slow-reader}.test.ts',
];
const NOT_TWICE = [
  // Only our transport refuses a call at its head.
  'test/e2e/control-costs.test.ts',
  // They start the transports that they are about.
  'test/e2e/{load-reports,ports}.test.ts',
  'test/interop/{envoy*,grpc-interop,grpcio,h2load,h2spec,java-client}.test.ts',
  // They are about models, REST or speed, whichever transport asks, and long.
  'test/e2e/{ocr,onnx-conformance,rest,rollout,rows,voice-activity}.test.ts',
  'test/interop/{curl,go-client,model-analyzer,perf-analyzer,schemathesis,tritonclient-http}.test.ts',
];

export default defineConfig({
  test: {
    // Forks, never threads: a test that leaves an ONNX Runtime run in flight would abort a threaded vitest (exit 134).
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      { extends: true, test: { name: 'all', include: ['test/**/*.test.ts'], env: ENVIRONMENT } },
      {
        extends: true,
        test: {
          name: 'grpc-js',
          include: OVER_GRPC_JS,
          exclude: NOT_TWICE,
          env: { ...ENVIRONMENT, TENSORGATE_TRANSPORT: 'grpc-js' },
        },
      },
    ],
  },
});
