/** Extracts the prose that people read from TypeScript and Markdown, one line of prose at a time. */

export interface ProseLine {
  /** From 1. */
  readonly line: number;
  readonly text: string;
  /** The first line of a comment, a title, a paragraph: the place where a sentence opens. */
  readonly opens: boolean;
}

interface Token {
  readonly kind: 'line comment' | 'block comment' | 'string' | 'code';
  readonly line: number;
  readonly text: string;
  /** The code before it on its line, for strings. */
  readonly before: string;
  /** It is the first argument of `test`, `describe` or `it`. */
  readonly isTitle?: boolean;
  /** The rest of a template, behind a value. */
  readonly isRest?: boolean;
  /** A template goes on behind a value. */
  readonly isHead?: boolean;
}

/** A `/` after these begins a regular expression; after a value it divides. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|void|delete|await|yield))\s*$/;

/** The comments, the strings and the code between them of a TypeScript source, in order. */
export function tokensOf(source: string): readonly Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let code = '';
  let at = 0;
  let codeFrom = 0;
  let codeLine = 1;
  /** Depths of braces at which a template continues. */
  const templates: number[] = [];
  let depth = 0;
  const endCode = (): void => {
    if (at > codeFrom) tokens.push({ kind: 'code', line: codeLine, text: source.slice(codeFrom, at), before: '' });
  };
  const take = (kind: Token['kind'], end: number, text: string, isRest = false, isHead = false): void => {
    endCode();
    const before = code.slice(code.lastIndexOf('\n') + 1);
    tokens.push({ kind, line, text, before, isTitle: kind === 'string' && isTitlePlace(code), isRest, isHead });
    line += count(source.slice(at, end));
    code += kind === 'string' ? "''" : '';
    at = end;
    codeFrom = at;
    codeLine = line;
  };
  const template = (from: number, isRest: boolean): void => {
    const end = endOfTemplate(source, from);
    const isWhole = source.charAt(end - 1) === '`';
    take('string', end, source.slice(from, isWhole ? end - 1 : end - 2), isRest, !isRest && !isWhole);
    if (!isWhole) templates.push(depth++);
  };
  while (at < source.length) {
    const char = source.charAt(at);
    const two = source.slice(at, at + 2);
    if (two === '//') {
      const end = endAt(source, '\n', at);
      take('line comment', end, source.slice(at + 2, end));
    } else if (two === '/*') {
      const end = endAt(source, '*/', at) + 2;
      take('block comment', end, source.slice(at + 2, end - 2));
    } else if (char === "'" || char === '"') {
      const end = endOfQuoted(source, char, at + 1);
      take('string', end + 1, source.slice(at + 1, end).replaceAll("\\'", "'"));
    } else if (char === '`') {
      template(at + 1, false);
    } else if (char === '}' && templates.at(-1) === depth - 1) {
      depth = templates.pop() ?? 0;
      template(at + 1, true);
    } else if (char === '/' && BEFORE_REGEX.test(code.slice(-40))) {
      endCode();
      code += '/r/';
      at = endOfRegex(source, at + 1);
      codeFrom = at;
      codeLine = line;
    } else {
      if (char === '{') depth++;
      if (char === '}') depth--;
      if (char === '\n') line++;
      code += char;
      at++;
    }
  }
  endCode();
  return tokens;
}

/** Whether `code` ends with `test(`, `describe.skip(`, `test.each(…)(` and the like. */
function isTitlePlace(code: string): boolean {
  if (!code.trimEnd().endsWith('(')) return false;
  let callee = code.trimEnd().slice(0, -1);
  if (callee.endsWith(')')) callee = beforeBracket(callee, '(', ')');
  if (callee.endsWith('>')) callee = beforeBracket(callee, '<', '>');
  return /(^|[^.\w])(test|describe|it)(\.\w+)*$/.test(callee);
}

/** The text before the bracket that the last one closes. */
function beforeBracket(text: string, open: string, close: string): string {
  let depth = 0;
  for (let at = text.length - 1; at >= 0; at--) {
    if (text[at] === close && text[at - 1] !== '=') depth++;
    else if (text[at] === open && --depth === 0) return text.slice(0, at);
  }
  return '';
}

/** Comments: the text of each line without its stars, JSDoc tags and code. */
export function commentsOf(source: string): readonly ProseLine[] {
  let before: Token | undefined;
  return tokensOf(source)
    .filter(({ kind }) => kind === 'line comment' || kind === 'block comment')
    .flatMap((token) => {
      // Lines of `//`, one below the other, are one comment.
      const areOne = before !== undefined && isOwnLine(before) && isOwnLine(token);
      const goesOn = areOne && token.line === (before?.line ?? 0) + 1;
      before = token;
      return split(token, goesOn, (text) => text.replace(/^\s*\**\s?/, '').replace(/^@(param \S+( -)?|\w+) ?/, ''));
    });
}

/** Strings that hold a text: three words or more. Paths, keys and code have fewer. */
export function textsOf(source: string): readonly ProseLine[] {
  return tokensOf(source)
    .filter(({ kind, before }) => kind === 'string' && !/\b(from|import)\s*\(?$/.test(before))
    .flatMap((token) => {
      if (isText(token.text)) return split(token, token.isRest === true, (text) => text);
      // The rest of this template belongs to it, not to the text before.
      return token.isHead === true ? [{ line: token.line, text: '', opens: true }] : [];
    });
}

/** Titles of tests and of groups. */
export function titlesOf(source: string): readonly ProseLine[] {
  return tokensOf(source)
    .filter(({ isTitle }) => isTitle === true)
    .flatMap((token) => split(token, false, (text) => text.replace(/\$\w+/g, 'x')));
}

/** Keywords of the language that are no names. */
const KEYWORDS = /^(else)$/;

/** The names in code, as words: `tellCaller` reads `tell caller`. */
export function identifiersOf(source: string): readonly ProseLine[] {
  return tokensOf(source)
    .filter(({ kind }) => kind === 'code')
    .flatMap(({ line, text }) =>
      text.split('\n').flatMap((code, index) =>
        [...code.matchAll(/[A-Za-z_$][\w$]*/g)]
          .map(([name]) => name)
          .filter((name) => !KEYWORDS.test(name))
          .map((name) => ({ line: line + index, text: wordsOf(name), opens: false })),
      ),
    );
}

function wordsOf(name: string): string {
  return name.replaceAll('_', ' ').replace(/([a-z0-9])([A-Z])/g, '$1 $2');
}

/** Markdown without fenced code. Tables, lists and paragraphs open with their first words. */
export function markdownProse(source: string): readonly ProseLine[] {
  let isCode = false;
  let opens = true;
  return source.split('\n').flatMap((raw, index) => {
    if (/^\s*(```|~~~)/.test(raw)) {
      isCode = !isCode;
      return [];
    }
    if (isCode) return [];
    const isItem = /^\s*([-*+|#>]|\d+\.)/.test(raw);
    const text = withoutCode(raw.replace(/^\s*([-*+#>]+|\d+\.)\s*/, ''));
    const result = text.trim() === '' ? [] : [{ line: index + 1, text: text.trim(), opens: opens || isItem }];
    opens = raw.trim() === '';
    return result;
  });
}

/** Backticks hold code, and links hold addresses: neither is prose. */
function withoutCode(text: string): string {
  return text
    .replace(/\\?`[^`]*`/g, '`x`')
    .replace(/\]\([^)]*\)/g, ']')
    .replace(/\bhttps?:\S+/g, 'URL');
}

function split(token: Token, goesOn: boolean, clean: (text: string) => string): readonly ProseLine[] {
  let opens = !goesOn;
  return withoutCode(token.text)
    .split('\n')
    .flatMap((raw, index) => {
      const text = clean(raw).trim();
      if (/^(biome-ignore|eslint|@ts-)/.test(text)) return [];
      // An empty line ends a paragraph of a comment; items and the lines of a table stand for themselves.
      if (token.kind !== 'string' && (text === '' || /^\s*\*?(\s*- |\s{3})/.test(raw))) opens = true;
      if (text === '') return [];
      // The name of a parameter opens its sentence.
      const result = { line: token.line + index, text, opens: opens && !/^\s*\**\s*@param\b/.test(raw) };
      opens = false;
      return [result];
    });
}

function isOwnLine({ kind, before }: Token): boolean {
  return kind === 'line comment' && before.trim() === '';
}

function isText(text: string): boolean {
  return /[A-Za-z]{2,}[,;:]? [A-Za-z`'$({]+[\s\S]* [A-Za-z]/.test(text);
}

function count(text: string): number {
  return text.split('\n').length - 1;
}

function endAt(source: string, mark: string, from: number): number {
  const end = source.indexOf(mark, from);
  return end < 0 ? source.length : end;
}

function endOfQuoted(source: string, quote: string, from: number): number {
  let at = from;
  while (at < source.length && source.charAt(at) !== quote) at += source.charAt(at) === '\\' ? 2 : 1;
  return at;
}

/** Behind the closing backtick, or behind the `${` that comes first. */
function endOfTemplate(source: string, from: number): number {
  let at = from;
  while (at < source.length) {
    if (source.charAt(at) === '`') return at + 1;
    if (source.startsWith('${', at)) return at + 2;
    at += source.charAt(at) === '\\' ? 2 : 1;
  }
  return at;
}

function endOfRegex(source: string, from: number): number {
  let isClass = false;
  let at = from;
  for (; at < source.length && source.charAt(at) !== '\n'; at++) {
    const char = source.charAt(at);
    if (char === '\\') at++;
    else if (char === '[') isClass = true;
    else if (char === ']') isClass = false;
    else if (char === '/' && !isClass) return at + 1;
  }
  return at;
}
