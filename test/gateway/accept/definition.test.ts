import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadCodecs } from '../../../src/gateway/accept/definition.ts';
import type { ModelConfigMessage, ModelStatisticsMessage } from '../../../src/gateway/accept/messages.ts';
import { loadService } from './reference-service.ts';

const ROOT = path.join(import.meta.dirname, '../../..');

describe('each field, value and RPC of the protocol has a comment', () => {
  const folder = path.join(ROOT, 'proto');

  test.each(readdirSync(folder).filter((name) => name.endsWith('.proto')))('%s', (name) => {
    const lines = readFileSync(path.join(folder, name), 'utf8').split('\n');
    const bare = lines.filter((line, index) => {
      const isDefinition = /^\s+(rpc |.* = \d+( \[.*\])?;$)/.test(line);
      // The values of a `oneof` share the comment of its message.
      return isDefinition && !/^\s*\/\//.test(lines[index - 1] ?? '') && !isInOneof(lines, index);
    });
    expect(bare).toEqual([]);
  });
});

/** The `oneof parameter_choice` of a message that is only a value. */
function isInOneof(lines: readonly string[], index: number): boolean {
  const opening = lines.slice(0, index).findLast((line) => line.trimEnd().endsWith('{'));
  return opening?.trim() === 'oneof parameter_choice {';
}

describe('codecs', () => {
  const codecs = loadCodecs<{
    ModelStatistics: { request: object; response: { model_stats: ModelStatisticsMessage[] } };
    ModelConfig: { request: object; response: { config: ModelConfigMessage } };
    ModelReady: { request: object; response: object };
  }>('inference.GRPCInferenceService');
  const client = loadService('inference.proto', 'inference.GRPCInferenceService');

  test('sums of nanoseconds above 2^53 are exact', () => {
    const ns = String(2n ** 63n + 1n);
    const none = { count: '0', ns: '0' };
    const statistics: ModelStatisticsMessage = {
      name: 'm',
      version: '1',
      last_inference: '1764000000123',
      inference_count: '3',
      execution_count: '1',
      inference_stats: {
        success: { count: '3', ns },
        fail: none,
        queue: none,
        compute_input: none,
        compute_infer: none,
        compute_output: none,
        cache_hit: none,
        cache_miss: none,
        cancel: none,
        reject: none,
      },
      batch_stats: [{ batch_size: '3', compute_input: none, compute_infer: { count: '1', ns }, compute_output: none }],
    };
    const bytes = codecs.ModelStatistics.encode({ model_stats: [statistics] });
    expect(client['ModelStatistics']?.responseDeserialize(Buffer.from(bytes))).toMatchObject({
      model_stats: [statistics],
    });
  });

  test('a model configuration keeps its field names, and enum values are names', () => {
    const config: ModelConfigMessage = {
      name: 'm',
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      version_policy: { latest: { num_versions: 2 } },
      max_batch_size: 8,
      input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [-1, 3] }],
      output: [{ name: 'y', data_type: 'TYPE_STRING', dims: [1], label_filename: 'labels.txt' }],
      instance_group: [{ name: 'm_0', kind: 'KIND_GPU', count: 2, gpus: [1] }],
      dynamic_batching: { preferred_batch_size: [4, 8], max_queue_delay_microseconds: 100 },
      parameters: { note: { string_value: 'text' } },
    };
    const bytes = codecs.ModelConfig.encode({ config });
    const read = client['ModelConfig']?.responseDeserialize(Buffer.from(bytes)) as { config: object };
    expect(read.config).toMatchObject({
      ...config,
      input: [{ name: 'x', data_type: 'TYPE_FP32', dims: ['-1', '3'] }],
      output: [{ name: 'y', data_type: 'TYPE_STRING', dims: ['1'], label_filename: 'labels.txt' }],
      dynamic_batching: { preferred_batch_size: [4, 8], max_queue_delay_microseconds: '100' },
    });
  });

  test('bytes that are no message are refused as malformed', () => {
    expect(() => codecs.ModelReady.decode(new Uint8Array([0x0a]))).toThrow(
      expect.objectContaining({ reason: 'malformed_message', message: 'Unable to parse request' }),
    );
  });
});
