/** Pixels of a picture: RGB, 8 bits each, row by row. */

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A rectangle of a picture, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A part of a picture in another size, each pixel interpolated between its four neighbours. */
export function resized({ width, data }: Picture, box: Box, size: { width: number; height: number }): Picture {
  const out = new Uint8Array(size.width * size.height * 3);
  for (let y = 0; y < size.height; y++) {
    const [top, bottom, down] = neighbours(((y + 0.5) * box.height) / size.height - 0.5, box.height);
    for (let x = 0; x < size.width; x++) {
      const [left, right, across] = neighbours(((x + 0.5) * box.width) / size.width - 0.5, box.width);
      for (let channel = 0; channel < 3; channel++) {
        const at = (row: number, column: number): number =>
          data[((box.top + row) * width + box.left + column) * 3 + channel] ?? 0;
        const above = at(top, left) * (1 - across) + at(top, right) * across;
        const below = at(bottom, left) * (1 - across) + at(bottom, right) * across;
        out[(y * size.width + x) * 3 + channel] = Math.round(above * (1 - down) + below * down);
      }
    }
  }
  return { ...size, data: out };
}

/** The two pixels around a place, and the share of the second one. */
function neighbours(place: number, size: number): readonly [number, number, number] {
  const first = Math.min(size - 1, Math.max(0, Math.floor(place)));
  return [first, Math.min(size - 1, first + 1), Math.min(1, Math.max(0, place - first))];
}
