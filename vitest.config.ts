import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Forks, never threads: a test that leaves an ONNX Runtime run in flight would abort a threaded vitest (exit 134).
    pool: 'forks',
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    env: { ORT_DISABLE_TELEMETRY: '1' },
  },
});
