/** The frame of a plot: its size, its axes, and the grid behind it. */

import { type Markup, markup } from './markup.ts';
import type { Scale } from './scale.ts';

const WIDTH = 520;
const HEIGHT = 330;
export const LEFT = 58;
export const RIGHT = 510;
/** Room for the largest mark at 100 %. */
export const TOP = 24;
export const BOTTOM = 280;

export function figure(title: string, content: Markup, height = HEIGHT): Markup {
  return markup`<svg class="plot" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">${content}</svg>`;
}

export function axes(x: Scale, y: Scale, titleX: string, titleY: string): Markup {
  return markup`${y.ticks.map((tick) => markup`<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${y(tick)}" y2="${y(tick)}"/><text class="tick" x="${LEFT - 8}" y="${y(tick) + 4}" text-anchor="end">${short(tick)}</text>`)}
  ${x.ticks.map((tick) => markup`<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${BOTTOM}" y2="${BOTTOM + 5}"/><text class="tick" x="${x(tick)}" y="${BOTTOM + 20}" text-anchor="middle">${short(tick)}</text>`)}
  <text class="title" x="${(LEFT + RIGHT) / 2}" y="${BOTTOM + 44}" text-anchor="middle">${titleX}</text>
  <text class="title" transform="translate(14 ${(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${titleY}</text>`;
}

function short(value: number): string {
  if (Math.abs(value) >= 10_000) return `${Number((value / 1000).toFixed(1))}k`;
  return String(Number(value.toFixed(2)));
}
