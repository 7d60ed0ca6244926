import type { Pictures } from '../compare/page/page.ts';
import type { Dataset } from '../compare/sample.ts';
import { bytesOf } from '../wire/tensor-bytes.ts';
import { CliError } from './cli-error.ts';
import type { DataModel } from './data/data-model.ts';
import { findImageLayout, type ImageLayout, pictureOf } from './image-input.ts';

/** Pictures of some rows of the data: of their files, or, where the model takes images, of their values. */
export async function picturesOf(rows: readonly number[], data: Dataset, { metadata }: DataModel): Promise<Pictures> {
  const layout = layoutOf(metadata);
  const pictures = new Map<number, string>();
  for (const row of rows) {
    const { image, tensors } = await data.read(row);
    const [values, shape] = [tensors.inputs[0], tensors.shapes[0]];
    const raw =
      layout === undefined || values === undefined || shape === undefined
        ? undefined
        : { data: bytesOf(values), layout, sizes: layout.batched ? shape.slice(1) : shape };
    const source = image ?? raw;
    const picture = source === undefined ? undefined : await pictureOf(source);
    if (picture !== undefined) pictures.set(row, picture);
  }
  return pictures;
}

function layoutOf(metadata: DataModel['metadata']): ImageLayout | undefined {
  try {
    return findImageLayout(metadata);
  } catch (error) {
    if (error instanceof CliError) return undefined;
    throw error;
  }
}
