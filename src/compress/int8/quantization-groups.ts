import type { Range } from '../calibration.ts';
import { type Quantization, quantizationOf } from './quantization.ts';

export interface Member {
  readonly given: Quantization | undefined;
  readonly range: Range;
  readonly limits: Range | undefined;
}

/** Sets of tensors that have one quantization. */
export class Groups {
  readonly #member: (tensor: string) => Member;
  readonly #groupOf = new Map<string, Set<string>>();

  constructor(member: (tensor: string) => Member) {
    this.#member = member;
  }

  /** Joins them, unless an activation would then no longer be part of its kernel. */
  join(tensors: readonly string[]): void {
    const all = new Set(tensors.flatMap((tensor) => [...this.#of(tensor)]));
    const members = [...all].map(this.#member);
    if (members.some(({ given }) => given !== undefined)) return;
    const common = quantizationOf(rangeOfAll(members));
    if (members.some(({ limits }) => limits !== undefined && !isRedundant(limits, common))) return;
    for (const tensor of all) this.#groupOf.set(tensor, all);
  }

  quantization(tensor: string): Quantization {
    const { given } = this.#member(tensor);
    return given ?? quantizationOf(rangeOfAll([...this.#of(tensor)].map(this.#member)));
  }

  #of(tensor: string): Set<string> {
    return this.#groupOf.get(tensor) ?? new Set([tensor]);
  }
}

function rangeOfAll(members: readonly Member[]): Range {
  return {
    low: Math.min(...members.map(({ range }) => range.low)),
    high: Math.max(...members.map(({ range }) => range.high)),
  };
}

/** Whether quantizing cuts off all that the activation would: ONNX Runtime then makes it part of the kernel before it. */
export function isRedundant({ low, high }: Range, { scale, zero }: Quantization): boolean {
  return roundToEven(low / scale) + zero <= 0 && roundToEven(high / scale) + zero >= 255;
}

function roundToEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
