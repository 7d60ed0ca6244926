/** Folders as Hugging Face, Optimum and sentence-transformers export them, with a tiny tokenizer and tiny models. */

import fs from 'node:fs';
import path from 'node:path';
import { encoderModel, model } from './onnx-models.ts';
import type { ModelFiles } from './repository.ts';

export const WORDS = [
  ...[
    '[PAD]',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    '[MASK]',
    '.',
    ',',
    '?',
    '!',
    "'",
    'the',
    'a',
    'of',
    'is',
    'cat',
    'dog',
    'river',
  ],
  ...[
    'bank',
    'city',
    'paris',
    'france',
    'capital',
    'sits',
    'runs',
    '##s',
    '##ing',
    'un',
    '##known',
    'sep',
    '[',
    ']',
    'mask',
  ],
];

/** Ids of a text that has only whole words and punctuation of the vocabulary, without special tokens. */
export function idsOf(text: string): number[] {
  return text.split(' ').map((word) => WORDS.indexOf(word));
}

/** BERT's rules over `WORDS`. */
export function tokenizerJson(fields: object = {}): object {
  const special = (content: string) => ({ id: WORDS.indexOf(content), content, special: true, normalized: false });
  const around = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
  const text = (id: string, type_id: number) => ({ Sequence: { id, type_id } });
  const tokens = ['[CLS]', '[SEP]'].map((id) => [id, { id, ids: [WORDS.indexOf(id)], tokens: [id] }]);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map(special),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [around('[CLS]', 0), text('A', 0), around('[SEP]', 0)],
      pair: [around('[CLS]', 0), text('A', 0), around('[SEP]', 0), text('B', 1), around('[SEP]', 1)],
      special_tokens: Object.fromEntries(tokens),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
    },
    ...fields,
  };
}

/** Numbers of ONNX: the kind of an attribute, and element types. */
const INTEGER = 2;
const FLOAT = 1;
const INT64 = 7;

export type Files = Readonly<Record<string, object | Uint8Array>>;

/** Files of a tokenizer. */
export function tokenizerFiles(config: object = {}): Files {
  return {
    'tokenizer.json': tokenizerJson(),
    'tokenizer_config.json': { pad_token: '[PAD]', tokenizer_class: 'BertTokenizer', model_max_length: 16, ...config },
  };
}

/** An encoder as sentence-transformers exports it. */
export function sentenceEncoder(pooling: object = { pooling_mode_mean_tokens: true }): Files {
  const module = (type: string, folder: string, idx: number) => ({
    idx,
    name: String(idx),
    path: folder,
    type: `sentence_transformers.models.${type}`,
  });
  return {
    ...tokenizerFiles(),
    'config.json': { architectures: ['BertModel'], hidden_size: 16, pad_token_id: 0 },
    'modules.json': [
      module('Transformer', '', 0),
      module('Pooling', '1_Pooling', 1),
      module('Normalize', '2_Normalize', 2),
    ],
    '1_Pooling/config.json': { word_embedding_dimension: 16, pooling_mode_cls_token: false, ...pooling },
    'onnx/model.onnx': encoderModel(),
  };
}

/** Logits of a text: the sum of its ids and segments, and the number of its tokens; with one class, the first by the second. */
export function classifierModel(classes: 1 | 2): Uint8Array {
  const axes = ['batch', 'sequence'];
  const node = (opType: string, input: string[], output: string, attribute?: readonly [string, number]) => ({
    opType,
    input,
    output: [output],
    attribute: attribute === undefined ? [] : [{ name: attribute[0], type: INTEGER, i: attribute[1] }],
  });
  return model({
    inputs: ['input_ids', 'attention_mask', 'token_type_ids'].map((name) => ({ name, datatype: 'INT64', axes })),
    outputs: [{ name: 'logits', datatype: 'FP32', axes: ['batch', classes] }],
    nodes: [
      node('Add', ['input_ids', 'token_type_ids'], 'typed_ids'),
      node('Mul', ['typed_ids', 'attention_mask'], 'real_ids'),
      node('Cast', ['real_ids'], 'ids', ['to', FLOAT]),
      node('Cast', ['attention_mask'], 'marks', ['to', FLOAT]),
      node('ReduceSum', ['ids', 'axis'], 'sum', ['keepdims', 1]),
      node('ReduceSum', ['marks', 'axis'], 'count', ['keepdims', 1]),
      classes === 1 ? node('Div', ['sum', 'count'], 'logits') : node('Concat', ['sum', 'count'], 'logits', ['axis', 1]),
    ],
    initializers: [{ name: 'axis', dims: [1], dataType: INT64, int64Data: [1] }],
  });
}

/** A classifier as Optimum exports it. */
export function textClassifier(classes: 1 | 2, config: object = {}): Files {
  return {
    ...tokenizerFiles(),
    'config.json': {
      architectures: ['BertForSequenceClassification'],
      id2label: classes === 1 ? { 0: 'LABEL_0' } : { 0: 'ids', 1: 'marks' },
      ...config,
    },
    'model.onnx': classifierModel(classes),
  };
}

/** A model of the test repository that is a folder as an exporter leaves it. */
export function exported(files: Files): ModelFiles {
  const entries = Object.entries(files).map(([name, content]) => {
    return [name, content instanceof Uint8Array ? content : JSON.stringify(content)] as const;
  });
  return { versions: {}, files: Object.fromEntries(entries) };
}

/** Writes files into a folder. */
export function writeFiles(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content instanceof Uint8Array ? content : JSON.stringify(content));
  }
}
