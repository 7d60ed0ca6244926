/** The places that are checked, and how many findings each may have. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { LONG_SENTENCE_WORDS, PHRASES, type Phrase } from './phrases.ts';
import { commentsOf, markdownProse, type ProseLine, textsOf, titlesOf } from './prose.ts';

const ROOT = path.join(import.meta.dirname, '../..');

/** Findings per 1,000 lines of the files of each area. They may only shrink. */
export const BUDGETS = {
  docs: 0.4,
  texts: 0.1,
  comments: 0.1,
  'comments of tests': 0.1,
  titles: 0.1,
} as const satisfies Record<string, number>;

export type Area = keyof typeof BUDGETS;

export interface Finding {
  readonly file: string;
  readonly line: number;
  /** As it is written. */
  readonly found: string;
  readonly phrase: Phrase;
}

export interface AreaResult {
  readonly area: Area;
  readonly findings: readonly Finding[];
  readonly lines: number;
  readonly longSentences: readonly (LongSentence & { readonly file: string })[];
}

interface LongSentence {
  /** Where its paragraph begins. */
  readonly line: number;
  readonly words: number;
  readonly text: string;
}

/** The files of each area, as `git ls-files` names them, and the prose in them. */
const AREAS: Readonly<Record<Area, { files: readonly string[]; prose: (source: string) => readonly ProseLine[] }>> = {
  // CHANGELOG.md is history: old entries stay as they are.
  docs: { files: ['*.md', ':!CHANGELOG.md', ':!third_party', ':!models'], prose: markdownProse },
  texts: { files: ['src/*.ts', ':(exclude)src/**/*_pb.ts'], prose: textsOf },
  comments: { files: ['src/*.ts', ':(exclude)src/**/*_pb.ts'], prose: commentsOf },
  'comments of tests': { files: ['test/*.ts', 'bench/*.ts', 'deploy/*.ts', 'examples/*.ts'], prose: commentsOf },
  titles: { files: ['test/*.ts'], prose: titlesOf },
};

/** A line with this mark holds a text that Triton's clients match. */
const EXEMPT = /Triton's text/;

export function check(): readonly AreaResult[] {
  return (Object.keys(AREAS) as Area[]).map((area) => {
    const { files, prose } = AREAS[area];
    const sources = listFiles(files).map((file) => ({ file, source: fs.readFileSync(path.join(ROOT, file), 'utf8') }));
    return {
      area,
      findings: sources.flatMap(({ file, source }) => findIn(file, source, prose(source))),
      lines: sources.reduce((sum, { source }) => sum + source.split('\n').length, 0),
      longSentences: sources.flatMap(({ file, source }) =>
        longSentencesIn(prose(source)).map((sentence) => ({ file, ...sentence })),
      ),
    };
  });
}

function findIn(file: string, source: string, prose: readonly ProseLine[]): readonly Finding[] {
  const lines = source.split('\n');
  return prose
    .filter(({ line }) => !EXEMPT.test(lines[line - 1] ?? '') && !EXEMPT.test(lines[line - 2] ?? ''))
    .flatMap((each) => findPhrases(each).map(({ phrase, found }) => ({ file, line: each.line, found, phrase })));
}

/** The phrases in a line of prose. Patterns that begin with `^` look only where a sentence opens. */
export function findPhrases({ text, opens }: ProseLine): readonly { phrase: Phrase; found: string }[] {
  return PHRASES.flatMap((phrase) => {
    if (phrase.pattern.source.startsWith('^') && !opens) return [];
    const found = phrase.pattern.exec(text)?.[0];
    return found === undefined ? [] : [{ phrase, found }];
  });
}

export function longSentencesIn(prose: readonly ProseLine[]): readonly LongSentence[] {
  const paragraphs: { line: number; text: string }[] = [];
  for (const { line, text, opens } of prose) {
    const last = paragraphs.at(-1);
    if (opens || last === undefined) paragraphs.push({ line, text });
    else last.text += ` ${text}`;
  }
  return paragraphs.flatMap(({ line, text: paragraph }) =>
    paragraph
      .split(/(?<=[.!?:;][)*]*)\s|\s\|\s/)
      .map((text) => ({ line, text, words: text.trim().split(/\s+/).length }))
      .filter(({ words }) => words > LONG_SENTENCE_WORDS),
  );
}

export function describeFinding({ file, line, found, phrase: { instead } }: Finding): string {
  return `${file}:${line}: "${found.trim().slice(0, 60)}": write ${instead}`;
}

export function describeLongSentence({ file, line, words, text }: AreaResult['longSentences'][number]): string {
  return `${file}:${line}: a sentence of ${words} words: "${text.slice(0, 60)}": split it`;
}

function listFiles(patterns: readonly string[]): readonly string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--', ...patterns], { cwd: ROOT, encoding: 'utf8' });
  return listed.split('\0').filter((file) => file !== '' && fs.existsSync(path.join(ROOT, file)));
}
