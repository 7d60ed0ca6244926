/** Triton's ONNX Runtime options -> what reaches a session from Node. */

import type { SessionOptions } from '../../worker/protocol.ts';
import type { ModelConfig } from './model-config.ts';

const GRAPH_LEVELS = new Map<number, SessionOptions['graphOptimizationLevel']>([
  [-1, 'basic'],
  [0, 'all'],
  [1, 'extended'],
  [2, 'disabled'],
]);

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
/** What ModelConfig reports under `parameters`, and clients that load a model with it send back. */
const REPORTED: readonly string[] = ['batching', 'execution_provider'];

/** Whether a parameter means anything: ONNX Runtime's binding drops others without a word. */
export function isHeardParameter(key: string): boolean {
  return SESSION_PARAMETERS.includes(key) || OWN_ENTRY.test(key) || REPORTED.includes(key);
}

/** What is wrong with the value of a parameter, if anything. */
export function parameterProblem(key: string, value: string): string | undefined {
  if (!isBounded(key) || (/^\d+$/.test(value) && Number(value) <= MOST[key])) return undefined;
  return `parameters.${key}: expected an integer from 0 to ${MOST[key]}, got '${value}'`;
}

function isBounded(key: string): key is keyof typeof MOST {
  return SESSION_PARAMETERS.includes(key);
}

/** @param config whose parameters were checked. */
export function sessionOptions({ parameters, optimization }: ModelConfig): SessionOptions {
  const number = (key: keyof typeof MOST, fallback: number): number => Number(parameters[key] ?? fallback);
  return {
    // One thread per instance: several instances with a pool each would fight for the cores.
    intraOpNumThreads: number('intra_op_thread_count', 1),
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
