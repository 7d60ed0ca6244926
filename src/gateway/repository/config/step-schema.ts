/** Steps: the platforms of models that are no ONNX files, and the sections `tensorgate.tokenizer` and others with their options. */

import { z } from 'zod';
import { LABEL_FUNCTIONS, POOLING_MODES, type StepOptions } from '../../../worker/step-spec.ts';
import { CODE_FILES, type CodeConfig, JAVASCRIPT, javascriptOf } from './code-model.ts';
import { positive } from './config-values.ts';
import { imageOf, imageSection } from './image-section.ts';

/** Longer texts are refused before they reach a tokenizer: 64 KiB of text take it some 100 ms. */
const DEFAULT_MAX_TEXT_BYTES = 64 * 1024;

const tokenizerSection = z.strictObject({
  decode: z
    .boolean()
    .default(false)
    .describe(
      'The other direction: from token ids to the text. The files are read at the first run. Other options have no meaning with it.',
    ),
  max_length: positive
    .optional()
    .describe(
      'Maximum tokens of a row, special tokens included. Default: `max_seq_length` of sentence_bert_config.json, `model_max_length` of tokenizer_config.json, `truncation` of tokenizer.json, or 512.',
    ),
  truncation: z
    .enum(['truncate', 'refuse'])
    .default('truncate')
    .describe('`truncate` cuts longer texts, of a pair the longer text first; `refuse` refuses the request.'),
  pair: z.boolean().default(false).describe('Take pairs of texts, for rerankers: a second input `text_pair`.'),
  special_tokens_in_text: z
    .boolean()
    .optional()
    .describe(
      'Read special tokens such as `[SEP]` in the texts of users as special tokens, as Hugging Face does. Default: `false` for pairs, otherwise `true`.',
    ),
  max_text_bytes: positive
    .default(DEFAULT_MAX_TEXT_BYTES)
    .describe('Maximum bytes of a text in UTF-8. Longer texts are refused before they are tokenized.'),
});

const poolingSection = z.strictObject({
  mode: z
    .enum(POOLING_MODES)
    .default('mean')
    .describe('How the vectors of the tokens become one: `mean`, `cls` (the first), `last`, or `max`.'),
  normalize: z.boolean().default(true).describe('Scale each vector to the length 1 (L2).'),
  width: positive.optional().describe("Elements of a token's vector, so that clients see the size. Default: any."),
  dimensions: positive
    .optional()
    .describe('Keep only the first elements of the vector, before it is scaled. Default: all.'),
});

const labelsSection = z.strictObject({
  function: z
    .enum(LABEL_FUNCTIONS)
    .default('softmax')
    .describe(
      'From logits to scores: `softmax` where a row has one class, `sigmoid` where it may have several, `none`.',
    ),
  labels: z
    .array(z.string().min(1))
    .default([])
    .describe('Names of the classes, in the order of the logits. Default: their numbers.'),
  top_k: positive.optional().describe('Give only so many classes, the likeliest first. Default: all.'),
});

const javascriptSection = z.strictObject({
  max_heap_mb: positive
    .default(512)
    .describe(
      'Maximum heap of an instance in MiB. Typed arrays lie outside of the heap. An instance that needs more ends.',
    ),
});

/** The sections of the steps, for the section `tensorgate`. */
export const STEP_SECTIONS = {
  tokenizer: tokenizerSection.optional().describe('Options of the platform `tensorgate_tokenizer`.'),
  pooling: poolingSection.optional().describe('Options of the platform `tensorgate_pooling`.'),
  image: imageSection.optional().describe('Options of the platform `tensorgate_image`.'),
  classes: labelsSection.optional().describe('Options of the platform `tensorgate_labels`.'),
  javascript: javascriptSection.optional().describe('Options of the platform `tensorgate_javascript`.'),
};

/** By platform: the section with the options of the step. */
const SECTION_OF = {
  tensorgate_tokenizer: 'tokenizer',
  tensorgate_pooling: 'pooling',
  tensorgate_labels: 'classes',
  [JAVASCRIPT]: 'javascript',
  tensorgate_image: 'image',
} as const;

export type StepPlatform = keyof typeof SECTION_OF;

export const STEP_PLATFORMS = Object.keys(SECTION_OF) as StepPlatform[];

export function isStepPlatform(platform: string | undefined): platform is StepPlatform {
  return platform !== undefined && Object.hasOwn(SECTION_OF, platform);
}

/** The section of a platform's options. */
export function stepSectionOf(platform: StepPlatform): keyof typeof STEP_SECTIONS {
  return SECTION_OF[platform];
}

/** The parts of a configuration that steps have. */
interface StepConfig extends CodeConfig {
  readonly platform?: string | undefined;
  readonly tensorgate: {
    readonly tokenizer?: z.output<typeof tokenizerSection> | undefined;
    readonly pooling?: z.output<typeof poolingSection> | undefined;
    readonly classes?: z.output<typeof labelsSection> | undefined;
    readonly javascript?: z.output<typeof javascriptSection> | undefined;
    readonly image?: z.output<typeof imageSection> | undefined;
  };
}

/** The step of a configuration, with its defaults; `undefined` for ONNX models and ensembles. */
export function stepOf(config: StepConfig): StepOptions | undefined {
  const { platform, tensorgate } = config;
  switch (platform) {
    case 'tensorgate_tokenizer': {
      const section = tensorgate.tokenizer ?? tokenizerSection.parse({});
      if (section.decode) return { kind: 'detokenizer' };
      return {
        kind: 'tokenizer',
        maxLength: section.max_length,
        truncation: section.truncation,
        pair: section.pair,
        specialTokensInText: section.special_tokens_in_text ?? !section.pair,
        maxTextBytes: section.max_text_bytes,
      };
    }
    case 'tensorgate_pooling':
      return { kind: 'pooling', ...(tensorgate.pooling ?? poolingSection.parse({})) };
    case 'tensorgate_labels': {
      const { top_k: topK, ...section } = tensorgate.classes ?? labelsSection.parse({});
      return { kind: 'labels', ...section, topK };
    }
    case JAVASCRIPT:
      return javascriptOf(config, (tensorgate.javascript ?? javascriptSection.parse({})).max_heap_mb);
    case 'tensorgate_image':
      return imageOf(tensorgate.image ?? imageSection.parse({}));
    default:
      return undefined;
  }
}

/** Names that the file of a step may have in the folder of its version; a step without any has only the folder. */
export function stepFilesOf({ kind }: StepOptions): readonly string[] {
  if (kind === 'tokenizer' || kind === 'detokenizer') return ['tokenizer.json'];
  return kind === 'javascript' ? CODE_FILES : [];
}
