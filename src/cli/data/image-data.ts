import path from 'node:path';
import { encodeTensor } from '../../client/tensor.ts';
import type { Dataset } from '../../compare/sample.ts';
import { UNIT_ROW } from '../../gateway/admit/infer-tensors.ts';
import { CliError } from '../cli-error.ts';
import { findImageLayout, type ImageLayout, readImage } from '../image-input.ts';
import { describeTensors } from '../model-signature.ts';
import type { DataModel } from './data-model.ts';

export function isImageFile(file: string): boolean {
  return /\.(jpe?g|png|webp|gif|avif|tiff?)$/i.test(file);
}

/**
 * Images as `infer --image` sends them.
 * @param labelled whether the first folder below `source` is the class of an image.
 * @throws CliError where the model takes no images, or one lies in no folder of a class
 */
export function imageData(
  source: string,
  files: readonly string[],
  { metadata }: Pick<DataModel, 'metadata'>,
  labelled: boolean,
): Dataset {
  const layout = layoutOf(source, metadata);
  const labels = files.map((file) => {
    const [folder, ...below] = path.relative(source, file).split(path.sep);
    return below.length === 0 ? undefined : folder;
  });
  const stray = labels.indexOf(undefined);
  if (labelled && stray >= 0) {
    throw new CliError(
      `'${files[stray]}' lies in no folder of a class: labelled images are ${path.join(source, '<class>', 'name.png')}`,
    );
  }
  const classes = [...new Set(labels)].filter((label) => label !== undefined).sort();
  return {
    source,
    count: files.length,
    ...(labelled && { classes }),
    read: async (index) => {
      const file = files[index] ?? '';
      const tensor = await readImage(file, layout);
      const data = encodeTensor(tensor);
      const label = labels[index];
      return {
        name: path.relative(source, file),
        image: file,
        tensors: {
          rows: 1,
          bytes: data.byteLength,
          size: UNIT_ROW,
          bucket: '',
          inputs: [data],
          shapes: [tensor.shape],
        },
        ...(labelled && label !== undefined && { label }),
      };
    },
  };
}

function layoutOf(source: string, metadata: DataModel['metadata']): ImageLayout {
  try {
    return findImageLayout(metadata);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const takes = describeTensors(metadata.inputs);
    const text = `'${source}' holds images, and model '${metadata.name}' takes ${takes}, which no image fits`;
    throw new CliError(`${text}: give rows as a .npz or .jsonl file`, { cause: error });
  }
}
