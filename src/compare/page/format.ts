/** Figures as people read them. */

/** `8,554,145` */
export function count(value: number): string {
  return new Intl.NumberFormat('en').format(Math.round(value));
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

/** `2.7x` */
export function times(ratio: number): string {
  return `${ratio.toFixed(ratio < 9.95 ? 1 : 0)}x`;
}

/** `8.6 MB`: decimal, as files are sold. */
export function megabytes(bytes: number): string {
  if (bytes < 1e6) return `${Number((bytes / 1e3).toPrecision(3))} kB`;
  return `${Number((bytes / 1e6).toPrecision(3))} MB`;
}

export function milliseconds(value: number): string {
  return `${Number(value.toPrecision(3))} ms`;
}

/** Small differences: `3.5e-2` is 0.035. */
export function small(value: number): string {
  if (value === 0) return '0';
  return value >= 0.001 && value < 1e6 ? String(Number(value.toPrecision(2))) : value.toExponential(1);
}
