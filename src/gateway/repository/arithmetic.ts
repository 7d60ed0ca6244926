/**
 * The arithmetic that answers depend on besides the model: the class of the processor, and the version of ONNX Runtime. uint8 x int8 sums may
 * saturate where a processor has no instruction for them (ONNX Runtime: "Quantize ONNX models"), and a new version may round
 * otherwise. Answers of int8 models are equal only within both.
 */

import fs from 'node:fs';
import { findOnnxRuntime } from '../../worker/onnx-runtime-package.ts';

export interface Arithmetic {
  /** As of `instructionSetClass`. */
  readonly instructionSet: string;
  readonly onnxRuntime: string;
}

let here: Arithmetic | undefined;

/** The arithmetic of this machine and this installation. Read once: models load while others serve. */
export function arithmeticHere(): Arithmetic {
  here ??= readArithmetic();
  return here;
}

function readArithmetic(): Arithmetic {
  return { instructionSet: instructionSetClass(), onnxRuntime: findOnnxRuntime().version };
}

/** Instruction sets in the flags of `/proc/cpuinfo`, the best first. */
const CLASSES = [
  ['amx_int8', 'amx'],
  ['avx512_vnni', 'avx512-vnni'],
  ['avx_vnni', 'avx-vnni'],
  ['avx512bw', 'avx512'],
  ['avx2', 'avx2'],
  ['i8mm', 'i8mm'],
  ['asimddp', 'dotprod'],
  ['asimd', 'neon'],
] as const;

/** Such as `x64 avx512-vnni`; `x64` if the system reports no more. */
export function instructionSetClass(arch: string = process.arch, flags: ReadonlySet<string> = cpuFlags()): string {
  const [, found] = CLASSES.find(([flag]) => flags.has(flag)) ?? [];
  return found === undefined ? arch : `${arch} ${found}`;
}

export function arithmeticFlags(flags: ReadonlySet<string> = cpuFlags()): string[] {
  return [...flags].filter((flag) => /^(avx|fma$|amx|f16c$|sse4_2$|asimd|i8mm$|bf16$|sve)/.test(flag)).sort();
}

/** None where there is no `/proc/cpuinfo`. */
export function cpuFlags(file = '/proc/cpuinfo'): ReadonlySet<string> {
  let text = '';
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch {
    // Another system.
  }
  return new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.split(/\s+/));
}
