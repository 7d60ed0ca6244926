/** The places that are checked. Every finding fails the check. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { LONG_SENTENCE_WORDS, PHRASES, type Phrase, type TextKind } from './phrases.ts';
import { commentsOf, identifiersOf, markdownProse, type ProseLine, textsOf, titlesOf } from './prose.ts';

const ROOT = path.join(import.meta.dirname, '../..');

export interface AreaResult {
  readonly area: string;
  readonly lines: number;
  /** One line each: the place, the finding, the remedy. */
  readonly findings: readonly string[];
}

interface Area {
  readonly name: string;
  /** As `git ls-files` names them. */
  readonly files: readonly string[];
  readonly kind: TextKind;
  readonly prose: (source: string) => readonly ProseLine[];
}

const SOURCES = ['src/*.ts', ':(exclude)src/**/*_pb.ts'];
const TOOLS = ['test/*.ts', 'bench/*.ts', 'deploy/*.ts', 'examples/*.ts'];

const AREAS: readonly Area[] = [
  // CHANGELOG.md is history: old entries stay as they are.
  { name: 'docs', files: ['*.md', ':!CHANGELOG.md', ':!third_party', ':!models'], kind: 'text', prose: markdownProse },
  { name: 'protocol', files: ['proto/*.proto'], kind: 'comment', prose: commentsOf },
  { name: 'texts', files: SOURCES, kind: 'text', prose: textsOf },
  { name: 'comments', files: SOURCES, kind: 'comment', prose: commentsOf },
  { name: 'identifiers', files: SOURCES, kind: 'name', prose: identifiersOf },
  { name: 'comments of tests', files: TOOLS, kind: 'comment of a tool', prose: commentsOf },
  { name: 'titles', files: ['test/*.ts'], kind: 'text', prose: titlesOf },
];

/** A line with this mark holds a text that Triton's clients match. */
const EXEMPT = /Triton's text/;

export function check(): readonly AreaResult[] {
  return AREAS.map(({ name, files, kind, prose }) => {
    const sources = listFiles(files).map((file) => ({ file, source: fs.readFileSync(path.join(ROOT, file), 'utf8') }));
    return {
      area: name,
      lines: sources.reduce((sum, { source }) => sum + source.split('\n').length, 0),
      findings: sources.flatMap(({ file, source }) => findIn(file, source, prose(source), kind)),
    };
  });
}

function findIn(file: string, source: string, prose: readonly ProseLine[], kind: TextKind): readonly string[] {
  const lines = source.split('\n');
  const checked = prose.filter(
    ({ line }) => !EXEMPT.test(lines[line - 1] ?? '') && !EXEMPT.test(lines[line - 2] ?? ''),
  );
  return [
    ...checked.flatMap((each) =>
      findPhrases(each)
        .filter(({ phrase }) => phrase.only?.includes(kind) ?? true)
        .map(({ phrase, found }) => describeFinding(file, each.line, found, phrase)),
    ),
    // Names make no sentences.
    ...(kind === 'name' ? [] : longSentencesIn(prose)).map((sentence) => describeLongSentence(file, sentence)),
  ];
}

/** The phrases in a line of prose. Patterns that begin with `^` look only where a sentence opens. */
export function findPhrases({ text, opens }: ProseLine): readonly { phrase: Phrase; found: string }[] {
  return PHRASES.flatMap((phrase) => {
    if (phrase.pattern.source.startsWith('^') && !opens) return [];
    const found = phrase.pattern.exec(text)?.[0];
    return found === undefined ? [] : [{ phrase, found }];
  });
}

export function describeFinding(file: string, line: number, found: string, { instead }: Phrase): string {
  return `${file}:${line}: "${found.trim().slice(0, 60)}": write ${instead}`;
}

interface LongSentence {
  /** Where its paragraph begins. */
  readonly line: number;
  readonly words: number;
  readonly text: string;
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

function describeLongSentence(file: string, { line, words, text }: LongSentence): string {
  return `${file}:${line}: a sentence of ${words} words: "${text.slice(0, 60)}": split it`;
}

function listFiles(patterns: readonly string[]): readonly string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--', ...patterns], { cwd: ROOT, encoding: 'utf8' });
  return listed.split('\0').filter((file) => file !== '' && fs.existsSync(path.join(ROOT, file)));
}
