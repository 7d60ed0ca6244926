import { findImageLayout, readImage } from '../../src/cli/image-input.ts';
import type { InferenceClient } from '../../src/client/inference-client.ts';

export interface Reading {
  readonly text: string;
  /** The mean probability of its characters. */
  readonly confidence: number;
  /** Whether the line stood on its head. */
  readonly turned: boolean;
}

/** Asks for the text of a picture of one line. Its height becomes the 48 pixels that the models know. */
export async function readLine(client: InferenceClient, file: string): Promise<Reading> {
  const layout = findImageLayout(await client.modelMetadata('read_line'));
  const result = await client.infer('read_line', { [layout.input]: await readImage(file, layout) });
  const characters = result.output('characters', 'BYTES').strings();
  const probabilities = [...result.output('confidence', 'FP32').data].filter((_, step) => characters[step] !== '');
  const [, upsideDown = 0] = result.output('angle', 'FP32').data;
  return {
    text: characters.join('').trim(),
    confidence: probabilities.reduce((sum, probability) => sum + probability, 0) / Math.max(1, probabilities.length),
    turned: upsideDown > 0.9,
  };
}
