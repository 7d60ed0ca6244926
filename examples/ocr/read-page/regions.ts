/** From the map of a detector to the boxes of lines. */

import type { Box } from './pixels.ts';

/** A pixel with more belongs to a line. */
const THRESHOLD = 0.3;
/** A region with fewer pixels in its smaller direction is noise. */
const LEAST_SIZE = 3;
/** The detector marks the inside of a line: its box grows by this share of area over perimeter, as PaddleOCR's does. */
const GROWTH = 1.5;

/** Boxes around the connected regions of a map, from top to bottom, in pixels of the map. */
export function lineBoxes(map: Float32Array, width: number, height: number): Box[] {
  const seen = new Uint8Array(map.length);
  const boxes: Box[] = [];
  for (let start = 0; start < map.length; start++) {
    if (seen[start] === 1 || (map[start] ?? 0) <= THRESHOLD) continue;
    const box = regionFrom(start, map, width, seen);
    if (Math.min(box.width, box.height) >= LEAST_SIZE) boxes.push(grown(box, width, height));
  }
  return boxes.sort((a, b) => a.top - b.top || a.left - b.left);
}

/** The box of the pixels that hang together with one. */
function regionFrom(start: number, map: Float32Array, width: number, seen: Uint8Array): Box {
  const waiting = [start];
  seen[start] = 1;
  let [left, right, top, bottom] = [width, 0, Number.POSITIVE_INFINITY, 0];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const [x, y] = [at % width, Math.floor(at / width)];
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
    const beside = [x > 0 ? at - 1 : -1, x < width - 1 ? at + 1 : -1, at - width, at + width];
    for (const next of beside) {
      if (next < 0 || next >= map.length || seen[next] === 1 || (map[next] ?? 0) <= THRESHOLD) continue;
      seen[next] = 1;
      waiting.push(next);
    }
  }
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

function grown({ left, top, width, height }: Box, mapWidth: number, mapHeight: number): Box {
  const by = Math.ceil((width * height * GROWTH) / (2 * (width + height)));
  const [x, y] = [Math.max(0, left - by), Math.max(0, top - by)];
  return {
    left: x,
    top: y,
    width: Math.min(mapWidth, left + width + by) - x,
    height: Math.min(mapHeight, top + height + by) - y,
  };
}
