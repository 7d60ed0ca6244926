import { describe, expect, test } from 'vitest';
import { describeFinding, findPhrases, longSentencesIn } from './check.ts';
import { PHRASES } from './phrases.ts';
import { commentsOf, identifiersOf, markdownProse, textsOf, titlesOf } from './prose.ts';

const namesIn = (text: string, opens = true): readonly string[] =>
  findPhrases({ line: 1, text, opens }).map(({ phrase }) => phrase.name);

describe('phrases', () => {
  test.each(PHRASES.map(({ name, example }) => [name, example]))('"%s" is found in: %s', (name, example) => {
    expect(namesIn(example)).toContain(name);
  });

  test.each([
    'With an admin port, these RPCs are served only there; without one, on the gRPC port and over REST.',
    'While half-open, the breaker lets one batch through at a time.',
    'An expired request never runs.',
    'Never evict a model that cannot be loaded again on demand.',
    'Otherwise, it waits. Usually, it does not.',
    'Names of the models, and nothing else.',
    'A standalone server forgets, nevertheless.',
  ])('plain English has no finding: %s', (text) => {
    expect(namesIn(text)).toEqual([]);
  });

  test('an opening counts only where a sentence opens', () => {
    expect(namesIn('of the requests, the first', false)).toEqual([]);
    expect(namesIn('of the requests, the first', true)).toEqual(['opens with a genitive']);
  });

  test('a finding names the file, the line, the phrase and what to write instead', () => {
    const [found] = findPhrases({ line: 7, text: 'Begins anew.', opens: true });
    expect(found && describeFinding('docs/a.md', 7, found.found, found.phrase)).toBe(
      'docs/a.md:7: "anew": write again',
    );
  });
});

describe('prose', () => {
  test('comments are found with their lines, without stars, tags and code', () => {
    const source = [
      'const a = 1; // Behind code.',
      '/**',
      ' * Of `alone`.',
      ' * @returns the rest',
      ' * @param alone the value',
      ' */',
      "const url = 'http://x'; const re = /[/'\"`]/; // A last one.",
      '// Two lines',
      '// of one comment.',
    ].join('\n');
    expect(commentsOf(source)).toEqual([
      { line: 1, text: 'Behind code.', opens: true },
      { line: 3, text: 'Of `x`.', opens: true },
      { line: 4, text: 'the rest', opens: false },
      { line: 5, text: 'the value', opens: false },
      { line: 7, text: 'A last one.', opens: true },
      { line: 8, text: 'Two lines', opens: true },
      { line: 9, text: 'of one comment.', opens: false },
    ]);
  });

  test('strings and templates of several words are texts, keys and imports are not', () => {
    const source = [
      "import a from './a b c.ts';",
      "const key = 'alone';",
      "const text = 'it can\\'t be told';",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the source under test has one
      'const more = `${f({ a: `in the inner one` })} of the model failed`;',
    ].join('\n');
    expect(textsOf(source)).toEqual([
      { line: 3, text: "it can't be told", opens: true },
      { line: 4, text: '', opens: true },
      { line: 4, text: 'in the inner one', opens: true },
      { line: 4, text: 'of the model failed', opens: false },
    ]);
  });

  test('titles are the first texts of tests and groups', () => {
    const source =
      "describe('a group', () => {\n  test.each([1])('a title', () => {\n    f('an argument');\n  });\n});";
    expect(titlesOf(source).map(({ line, text }) => [line, text])).toEqual([
      [1, 'a group'],
      [2, 'a title'],
    ]);
  });

  test('a title behind a table, on a line of its own, or behind types is found', () => {
    const source = [
      'test.each<{ f: () => void }>([',
      "  ['a value', /\\)/],",
      "])('%s behind a table', () => {",
      "  expect(call('an argument')).toBe(1);",
      '});',
      'describe.skipIf(x)(',
      "  'a title below',",
      '  () => {},',
      ');',
      "test('$what is a placeholder', () => {});",
      "collect('no title', 1);",
    ].join('\n');
    expect(titlesOf(source).map(({ line, text }) => [line, text])).toEqual([
      [3, '%s behind a table'],
      [7, 'a title below'],
      [10, 'x is a placeholder'],
    ]);
  });

  test('names in code are read as words, without comments, strings and keywords', () => {
    const source = "if (a) tellCaller('told'); // told\nelse this.#heardOf(/told/);";
    const found = identifiersOf(source).map(({ line, text }) => [line, text]);
    expect(found).toEqual([
      [1, 'if'],
      [1, 'a'],
      [1, 'tell Caller'],
      [2, 'this'],
      [2, 'heard Of'],
    ]);
  });

  test('fenced code, code in backticks and addresses of Markdown are no prose', () => {
    const source = '# A title\n\n```sh\nnobody\n```\n\n- the `alone` of [a page](nobody.md)\nand more';
    expect(markdownProse(source)).toEqual([
      { line: 1, text: 'A title', opens: true },
      { line: 7, text: 'the `x` of [a page]', opens: true },
      { line: 8, text: 'and more', opens: false },
    ]);
  });

  test('a sentence of more than 30 words is found, over several lines of one paragraph', () => {
    const words = (count: number): string => Array.from({ length: count }, () => 'word').join(' ');
    const line = (text: string, opens: boolean) => ({ line: 1, text, opens });
    expect(longSentencesIn([line(words(16), true), line(`${words(15)}.`, false)])).toMatchObject([{ words: 31 }]);
    expect(longSentencesIn([line(`${words(16)}.`, true), line(`${words(15)}.`, false)])).toEqual([]);
    expect(longSentencesIn([line(words(16), true), line(words(16), true)])).toEqual([]);
  });
});
