/** How long batches of real models take, as measured on the machines that the titles name. */

export interface Curve {
  readonly name: string;
  readonly title: string;
  readonly maxRows: number;
  /** The deadline that the grid gives requests of this model. */
  readonly sloMs: number;
  /** Milliseconds that a batch takes, by its rows; index 0 is unused. */
  readonly table: Float64Array;
}

/** Milliseconds of a batch; beyond the largest measured size as long as that one. */
export function runMs({ table, maxRows }: Curve, rows: number): number {
  return table[Math.min(rows, maxRows)] ?? Number.NaN;
}

/** The highest rate at which rows can be worked off, a millisecond. */
export function capacity({ table, maxRows }: Curve): number {
  let best = 0;
  for (let rows = 1; rows <= maxRows; rows++) best = Math.max(best, rows / (table[rows] ?? Number.POSITIVE_INFINITY));
  return best;
}

/** `fixed` plus `perRow` for each row. */
export function linear(fixed: number, perRow: number, maxRows: number): Float64Array {
  return Float64Array.from({ length: maxRows + 1 }, (_, rows) => fixed + perRow * rows);
}

type Point = readonly [rows: number, ms: number];

/** Straight lines between measured sizes. */
export function between(points: readonly Point[]): Float64Array {
  const maxRows = points.at(-1)?.[0] ?? 0;
  return Float64Array.from({ length: maxRows + 1 }, (_, rows) => {
    const next = Math.max(
      1,
      points.findIndex(([size]) => size >= rows),
    );
    const [fromRows, fromMs] = points[next - 1] ?? [0, 0];
    const [toRows, toMs] = points[next] ?? [fromRows + 1, fromMs];
    return fromMs + ((toMs - fromMs) * (rows - fromRows)) / (toRows - fromRows);
  });
}

export const GPU_LIKE: Curve = {
  name: 'gpu',
  title: 'GPU-like (ResNet-50 on a V100)',
  maxRows: 64,
  sloMs: 25,
  table: linear(1.8874, 0.1438, 64),
};

export const MLP_23MB: Curve = {
  name: 'mlp',
  title: 'MLP of 23 MB, one core',
  maxRows: 64,
  sloMs: 10,
  table: between([
    [1, 0.4],
    [2, 0.525],
    [4, 0.71],
    [8, 1.02],
    [16, 1.73],
    [32, 2.67],
    [64, 4.57],
  ]),
};

export const MINILM_32: Curve = {
  name: 'minilm32',
  title: 'MiniLM-L6, 32 tokens, one core',
  maxRows: 32,
  sloMs: 100,
  table: between([
    [1, 5.83],
    [2, 9.24],
    [4, 15.9],
    [8, 29.1],
    [16, 58],
    [32, 114.7],
  ]),
};

/** Rows get dearer beyond batches of two. */
export const MINILM_128: Curve = {
  name: 'minilm128',
  title: 'MiniLM-L6, 128 tokens, one core',
  maxRows: 16,
  sloMs: 500,
  table: between([
    [1, 17.6],
    [2, 32],
    [4, 74],
    [8, 152],
    [16, 313.6],
  ]),
};

export const RESNET_50: Curve = {
  name: 'resnet50',
  title: 'ResNet-50, one core',
  maxRows: 16,
  sloMs: 250,
  table: linear(0.9, 41, 16),
};

export const CNN: Curve = {
  name: 'cnn',
  title: 'CIFAR CNN, one core',
  maxRows: 64,
  sloMs: 100,
  table: linear(0.4, 0.52, 64),
};
