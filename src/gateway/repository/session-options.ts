/** Triton's ONNX Runtime options -> what reaches a session from Node. */

import type { SessionOptions } from '../../worker/protocol.ts';
import { type ModelConfig, ModelConfigError } from './model-config.ts';

const GRAPH_LEVELS = new Map<number, SessionOptions['graphOptimizationLevel']>([
  [-1, 'basic'],
  [0, 'all'],
  [1, 'extended'],
  [2, 'disabled'],
]);

/** Read here; others under `parameters` are refused by name, because ONNX Runtime's binding would drop them silently. */
const KNOWN = [
  'intra_op_thread_count',
  'inter_op_thread_count',
  'execution_mode',
  'enable_mem_arena',
  'enable_mem_pattern',
] as const;

/** @throws ModelConfigError for a parameter that is unknown or out of range. */
export function sessionOptions(config: ModelConfig, configPath: string | undefined): SessionOptions {
  const where = `${configPath ?? 'config'}: parameters`;
  const extra: Record<string, string> = {};
  for (const [key, value] of Object.entries(config.parameters)) {
    if (/^(session|ep)\./.test(key)) extra[key] = value;
    else if (!KNOWN.some((known) => known === key)) {
      throw new ModelConfigError(`${where}.${key} is not supported: known are ${KNOWN.join(', ')} and session.*`);
    }
  }
  const number = (key: (typeof KNOWN)[number], fallback: number, max: number): number => {
    const text = config.parameters[key];
    if (text === undefined) return fallback;
    const value = Number(text);
    if (/^\d+$/.test(text) && value <= max) return value;
    throw new ModelConfigError(`${where}.${key}: expected an integer from 0 to ${max}, got '${text}'`);
  };
  return {
    // One thread per instance: several instances with a pool each would fight for the cores.
    intraOpNumThreads: number('intra_op_thread_count', 1, 1_024),
    interOpNumThreads: number('inter_op_thread_count', 1, 1_024),
    executionMode: number('execution_mode', 0, 1) === 1 ? 'parallel' : 'sequential',
    graphOptimizationLevel: GRAPH_LEVELS.get(config.optimization?.graph.level ?? 0) ?? 'all',
    enableCpuMemArena: number('enable_mem_arena', 1, 1) === 1,
    enableMemPattern: number('enable_mem_pattern', 1, 1) === 1,
    // Threads that spin while they wait burn a core that another instance needs.
    extra: { 'session.intra_op.allow_spinning': '0', 'session.inter_op.allow_spinning': '0', ...extra },
  };
}
