/** Sizes of images on their way through the step, as Hugging Face's processors round them. */

import type { ImageOptions, ImageSize } from '../step-spec.ts';
import type { Window } from './resample.ts';

/** The size before the crop. */
export function resizedSize({ width, height }: ImageSize, resize: ImageOptions['resize']): ImageSize {
  if (resize === undefined) return { width, height };
  if (!('shortestEdge' in resize)) return resize;
  const short = resize.shortestEdge;
  const long = Math.max(1, Math.trunc((short * Math.max(width, height)) / Math.min(width, height)));
  return width <= height ? { width: short, height: long } : { width: long, height: short };
}

export interface Cut {
  /** The part of the resized image that is kept. */
  readonly window: Window;
  /** Where it lies in the result; the rest of the result is black. */
  readonly left: number;
  readonly top: number;
}

/** The middle of an image. Where the image is smaller, black is put around it. */
export function centerCut(size: ImageSize, { width, height }: ImageSize): Cut {
  const across = cutOf(size.width, width);
  const down = cutOf(size.height, height);
  const window = { left: across.from, top: down.from, width: across.length, height: down.length };
  return { window, left: across.at, top: down.at };
}

/** One axis: the part that is kept, and where it begins in the result. */
function cutOf(size: number, wanted: number): { readonly from: number; readonly length: number; readonly at: number } {
  const from = Math.floor((size - wanted) / 2);
  if (from >= 0) return { from, length: wanted, at: 0 };
  return { from: 0, length: size, at: Math.ceil((wanted - size) / 2) };
}
