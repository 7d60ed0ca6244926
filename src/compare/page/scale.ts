/** From values to places on an axis. */

export interface Scale {
  (value: number): number;
  readonly ticks: readonly number[];
}

/** Even steps of 1, 2 or 5 from below the least to above the greatest value. */
export function linearScale(values: readonly number[], [from, to]: readonly [number, number], ticks = 5): Scale {
  const least = Math.min(...values);
  const greatest = Math.max(...values);
  const step = stepOf((greatest - least || Math.abs(greatest) || 1) / ticks);
  const low = Math.floor(least / step + 1e-9) * step;
  const high = Math.max(Math.ceil(greatest / step - 1e-9) * step, low + step);
  const place = (value: number): number => from + ((value - low) / (high - low)) * (to - from);
  const count = Math.round((high - low) / step);
  return Object.assign(place, { ticks: Array.from({ length: count + 1 }, (_, index) => low + index * step) });
}

/** Equal distances for equal factors; the ticks are the values. */
export function logScale(values: readonly number[], [from, to]: readonly [number, number]): Scale {
  const logs = values.map(Math.log2);
  const low = Math.min(...logs);
  const width = Math.max(...logs) - low;
  const place = (value: number): number =>
    width === 0 ? (from + to) / 2 : from + ((Math.log2(value) - low) / width) * (to - from);
  return Object.assign(place, { ticks: [...values] });
}

function stepOf(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((each) => each * power >= rough - 1e-12) ?? 10;
  return factor * power;
}

/**
 * Moves places apart until no two that collide are nearer than `distance`, as little as that takes.
 * @param collide whether the two are in each other's way at all; without it, all are.
 * @returns them in the same order.
 */
export function spreadOut(
  places: readonly number[],
  distance: number,
  collide: (a: number, b: number) => boolean = () => true,
): number[] {
  const order = places.map((_, index) => index).sort((a, b) => (places[a] ?? 0) - (places[b] ?? 0));
  const result = [...places];
  for (let pass = 0; pass < 100; pass++) {
    let moved = false;
    for (const [at, below] of order.entries()) {
      for (const above of order.slice(0, at)) {
        const gap = (result[below] ?? 0) - (result[above] ?? 0);
        if (gap >= distance - 0.01 || !collide(above, below)) continue;
        const push = (distance - gap) / 2;
        result[above] = (result[above] ?? 0) - push;
        result[below] = (result[below] ?? 0) + push;
        moved = true;
      }
    }
    if (!moved) break;
  }
  return result;
}
