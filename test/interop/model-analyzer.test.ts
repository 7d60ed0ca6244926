/** Triton's Model Analyzer, with the file and the command of docs/clients.md: it loads the model, and measures it. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { startServer } from '../support/server.ts';
import { modelAnalyzer, perfAnalyzer } from '../tools/tools.ts';
import { addressedTo, documented, MODELS, runDocumented } from './documented.ts';

const programs = [modelAnalyzer(), perfAnalyzer()].filter((program) => program !== undefined);
const skipped = programs.length < 2;
if (skipped) console.warn('SKIPPED: Model Analyzer or perf_analyzer is not installed (test/tools/setup.sh does)');

describe.skipIf(skipped)('Model Analyzer', () => {
  test('loads a model, measures it at each concurrency, and writes its reports', async () => {
    await using server = await startServer(MODELS, {
      flags: ['--log-level', 'error', '--model-control-mode', 'explicit'],
    });
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-model-analyzer-'));
    try {
      const [config = ''] = documented('Model Analyzer', 'yaml');
      fs.writeFileSync(path.join(folder, 'analyze.yaml'), addressedTo(server, config));
      const [command = ''] = documented('Model Analyzer', 'sh');
      const { code, stdout, stderr } = await runDocumented(server, command, programs, folder);
      expect({ code, said: stdout + stderr }).toEqual({ code: 0, said: expect.not.stringContaining('failed') });
      const table = fs.readFileSync(path.join(folder, 'results/metrics-model-inference.csv'), 'utf8');
      const rows = table.matchAll(/^cifar10,1,(\d+),cifar10_config_default,1:CPU,64,Yes,([\d.]+),([\d.]+)$/gm);
      const measured = [...rows].map(([, concurrency, throughput]) => [concurrency, Number(throughput) > 0]);
      expect(measured.sort()).toEqual([
        ['1', true],
        ['4', true],
      ]);
      expect(fs.existsSync(path.join(folder, 'reports/summaries/cifar10'))).toBe(true);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  }, 300_000);
});
