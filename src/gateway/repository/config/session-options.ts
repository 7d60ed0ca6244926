/** Triton's ONNX Runtime options -> what reaches a session from Node. */

import type { SessionOptions } from '../../../worker/protocol.ts';
import type { ModelConfig } from './model-config.ts';

const GRAPH_LEVELS = new Map<number, SessionOptions['graphOptimizationLevel']>([
  [-1, 'basic'],
  [0, 'all'],
  [1, 'extended'],
  [2, 'disabled'],
]);

/** Characters of a value that an error shows. */
const MAX_SHOWN = 100;

/** By name, the greatest value. */
const MOST = {
  intra_op_thread_count: 1_024,
  inter_op_thread_count: 1_024,
  execution_mode: 1,
  enable_mem_arena: 1,
  enable_mem_pattern: 1,
} as const;

/** The parameters by Triton's names that reach a session, besides ONNX Runtime's own `session.*` and `ep.*`. */
export const SESSION_PARAMETERS: readonly string[] = Object.keys(MOST);

const OWN_ENTRY = /^(session|ep)\./;
/** Parameters that ModelConfig reports, and that clients which load a model with it send back. `description` is only for people. */
const REPORTED = /^(batching|execution_provider|max_request_rows|version_labels|description|labels\..+)$/;

const FLAG = /^[01]$/;
const COUNT = /^\d{1,9}$/;

/**
 * ONNX Runtime's own entries that a client may send with a load, with the values that they take: they choose how a model is
 * computed. Entries that are not here name files, directories, formats or libraries, write to disk, or are not known to be safe.
 */
const CLIENT_ENTRIES: ReadonlyMap<string, RegExp> = new Map([
  ['session.allow_released_opsets_only', FLAG],
  ['session.disable_aot_function_inlining', FLAG],
  ['session.disable_cpu_ep_fallback', FLAG],
  ['session.disable_double_qdq_remover', FLAG],
  ['session.disable_prepacking', FLAG],
  ['session.disable_qdq_constant_folding', FLAG],
  ['session.disable_quant_qdq', FLAG],
  ['session.dynamic_block_base', COUNT],
  ['session.enable_dq_matmulnbits_fusion', FLAG],
  ['session.enable_quant_qdq_cleanup', FLAG],
  ['session.force_spinning_stop', FLAG],
  ['session.graph_optimizations_loop_level', /^[012]$/],
  ['session.inter_op.allow_spinning', FLAG],
  ['session.intra_op.allow_spinning', FLAG],
  ['session.qdq_matmulnbits_accuracy_level', COUNT],
  ['session.qdq_matmulnbits_block_size', /^-?\d{1,9}$/],
  ['session.qdqisint8allowed', FLAG],
  ['session.set_denormal_as_zero', FLAG],
  ['session.strict_shape_type_inference', FLAG],
  ['session.use_deterministic_compute', FLAG],
  ['session.use_device_allocator_for_initializers', FLAG],
  ['session.use_env_allocators', FLAG],
  ['session.x64quantprecision', FLAG],
]);

export const CLIENT_ENTRY_NAMES: readonly string[] = [...CLIENT_ENTRIES.keys()];

/** Whether a parameter has an effect: ONNX Runtime's binding drops unknown ones without an error. */
export function isKnownParameter(key: string): boolean {
  return SESSION_PARAMETERS.includes(key) || OWN_ENTRY.test(key) || REPORTED.test(key);
}

export function parameterProblem(key: string, value: string): string | undefined {
  if (!isBounded(key) || (/^\d+$/.test(value) && Number(value) <= MOST[key])) return undefined;
  return `parameters.${key}: expected an integer from 0 to ${MOST[key]}, got '${value.slice(0, MAX_SHOWN)}'`;
}

/** Why a client may not send a parameter with a load, if so. Those that are ONNX Runtime's entries have to be known as safe. */
export function clientParameterProblem(key: string, value: string): string | undefined {
  if (!OWN_ENTRY.test(key)) return undefined;
  const values = CLIENT_ENTRIES.get(key);
  if (values === undefined) {
    return `parameters.${key} is not taken from clients, because it is not among the options that only choose how a model is computed (docs/models.md): put it into the configuration in the model repository`;
  }
  if (values.test(value)) return undefined;
  return `parameters.${key}: expected ${values === FLAG ? '0 or 1' : 'a whole number'}, got '${value.slice(0, MAX_SHOWN)}'`;
}

function isBounded(key: string): key is keyof typeof MOST {
  return SESSION_PARAMETERS.includes(key);
}

/** The options of a session, from a configuration whose parameters were checked. */
export function sessionOptions({ parameters, optimization }: ModelConfig, defaultThreads = 1): SessionOptions {
  const number = (key: keyof typeof MOST, fallback: number): number => Number(parameters[key] ?? fallback);
  return {
    // One thread per instance: several instances with a pool each would fight for the cores.
    intraOpNumThreads: number('intra_op_thread_count', defaultThreads),
    interOpNumThreads: number('inter_op_thread_count', 1),
    executionMode: number('execution_mode', 0) === 1 ? 'parallel' : 'sequential',
    graphOptimizationLevel: GRAPH_LEVELS.get(optimization?.graph?.level ?? 0) ?? 'all',
    enableCpuMemArena: number('enable_mem_arena', 1) === 1,
    enableMemPattern: number('enable_mem_pattern', 1) === 1,
    // Threads that spin while they wait burn a core that another instance needs.
    extra: {
      'session.intra_op.allow_spinning': '0',
      'session.inter_op.allow_spinning': '0',
      ...ownEntries(parameters),
    },
  };
}

function ownEntries(parameters: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(parameters).filter(([key]) => OWN_ENTRY.test(key)));
}
