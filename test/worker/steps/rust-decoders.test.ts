import { expect, test } from 'vitest';
import { decode } from '../../../src/worker/steps/rust-decoders.ts';
import { Tokenizer } from '../../../src/worker/steps/tokenizer-library.ts';
import { tokenizerJson } from '../../support/text-exports.ts';

const METASPACE = { type: 'Metaspace', replacement: '\u2581' };

/** The texts were recorded from PyPI tokenizers 0.23.3. */
test.each<[string, object, string[], string]>([
  [
    'bytes that are no UTF-8 are a mark each',
    { type: 'ByteFallback' },
    ['a', '<0xF5>', '<0x4B>', 'b'],
    'a\ufffd\ufffdb',
  ],
  ['bytes become a character', { type: 'ByteFallback' }, ['<0xC3>', '<0xA9>', '<0xZZ>'], '\u00e9<0xZZ>'],
  ['a byte order mark is kept', { type: 'ByteFallback' }, ['<0xEF>', '<0xBB>', '<0xBF>'], '\ufeff'],
  ['characters stand for bytes', { type: 'ByteLevel' }, ['a', '\u0120b', '\u00c3', '\u00a9'], 'a b\u00e9'],
  ['a token with a space is itself', { type: 'ByteLevel' }, ['a', '\u00c3 \u00a9'], 'a\u00c3 \u00a9'],
  ['spaces at the start are dropped', METASPACE, ['\u2581\u2581a', '\u2581b'], 'a b'],
  ['a space is kept where none is added', { ...METASPACE, prepend_scheme: 'never' }, ['\u2581a', '\u2581b'], ' a b'],
  ['a space is kept by the older field', { ...METASPACE, add_prefix_space: false }, ['\u2581a'], ' a'],
  ['decoders follow each other', { type: 'Sequence', decoders: [METASPACE, { type: 'Fuse' }] }, ['\u2581a', 'b'], 'ab'],
  ['pieces of words are joined', { type: 'WordPiece', prefix: '##', cleanup: true }, ['a', '##b', '.'], 'ab.'],
])('%s', (_name, decoder, tokens, text) => {
  const { decoder: made } = new Tokenizer(tokenizerJson({ decoder }), {});
  expect(made && decode(made, tokens).join('')).toBe(text);
});
