/** The model repository of this example: the encoder as a folder of Hugging Face, and a reranker made of it. */

import { cp, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { lateInteractionGraph } from './late-interaction.ts';

const WIDTH = 384;

/** A step that gives the vectors of the tokens of the text `from`, and their mask, with names that begin with `to`. */
function encodeSteps(from: string, to: string): object[] {
  const tokens = { input_ids: `${to}_ids`, attention_mask: `${to}_mask`, token_type_ids: `${to}_types` };
  return [
    { model_name: 'minilm:tokenizer', input_map: { text: from }, output_map: tokens },
    { model_name: 'minilm:model', input_map: tokens, output_map: { last_hidden_state: to } },
  ];
}

/** Pairs of texts in, a score for each pair out, as `/v1/rerank` asks for it. */
const RERANKER = {
  platform: 'ensemble',
  max_batch_size: 64,
  input: ['text', 'text_pair'].map((name) => ({ name, data_type: 'TYPE_STRING', dims: [] })),
  output: [{ name: 'score', data_type: 'TYPE_FP32', dims: [1] }],
  ensemble_scheduling: {
    step: [
      ...encodeSteps('text', 'query'),
      ...encodeSteps('text_pair', 'passage'),
      {
        model_name: 'late_interaction',
        input_map: Object.fromEntries(['query', 'query_mask', 'passage', 'passage_mask'].map((name) => [name, name])),
        output_map: { score: 'score' },
      },
    ],
  },
};

/** @param model the folder of the encoder */
export async function writeRepository(directory: string, model: string): Promise<void> {
  await cp(model, path.join(directory, 'minilm'), { recursive: true });
  await mkdir(path.join(directory, 'late_interaction', '1'), { recursive: true });
  await writeFile(path.join(directory, 'late_interaction', '1', 'model.onnx'), lateInteractionGraph(WIDTH));
  await mkdir(path.join(directory, 'reranker', '1'), { recursive: true });
  await writeFile(path.join(directory, 'reranker', 'config.json'), `${JSON.stringify(RERANKER, null, 2)}\n`);
}
