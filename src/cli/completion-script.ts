/** Shell scripts that complete the command line. They are generated from the commands, so they cannot fall behind. */

import type { Command } from 'commander';

export type Shell = 'bash' | 'zsh' | 'fish';

/** The words that a command offers. */
interface Completion {
  /** Such as `tensorgate models validate`. */
  readonly path: string;
  /** Subcommands, options, and choices of the first argument. */
  readonly words: readonly Word[];
  /** Options that take a value, by their flag, with the values there are; without any, a file name is completed. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

interface Word {
  readonly text: string;
  readonly description: string;
}

export function completionScript(program: Command, shell: Shell): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](collect(program, ''));
}

function collect(command: Command, parent: string): Completion[] {
  const path = `${parent} ${command.name()}`.trim();
  const visible = command.createHelp().visibleOptions(command);
  const options = visible.flatMap(({ long, description }): Word[] =>
    long === undefined || long === null ? [] : [{ text: long, description: oneSentence(description) }],
  );
  const subcommands = command.commands.map((sub) => ({
    text: sub.name(),
    description: oneSentence(sub.description()),
  }));
  const choices = (command.registeredArguments[0]?.argChoices ?? []).map((text) => ({ text, description: '' }));
  const values = new Map(
    visible
      .filter(({ required, long }) => required && typeof long === 'string')
      .map(({ long, argChoices }) => [long ?? '', argChoices ?? []]),
  );
  return [
    { path, words: [...subcommands, ...choices, ...options], values },
    ...command.commands.flatMap((sub) => collect(sub, path)),
  ];
}

function oneSentence(text: string): string {
  return /^.*?[^.](?=\. |\.$|: |$)/s.exec(text)?.[0].replace(/\s+/g, ' ') ?? '';
}

/** Cases of a shell's `case` over the command and, for values, the option before the cursor. */
function valueCases(completions: readonly Completion[], format: (values: readonly string[]) => string): string {
  return completions
    .flatMap(({ path, values }) => [...values].map(([flag, list]) => `    '${path} ${flag}') ${format(list)} ;;`))
    .join('\n');
}

function pathPattern(completions: readonly Completion[]): string {
  return completions
    .slice(1)
    .map(({ path }) => `'${path}'`)
    .join('|');
}

function bashScript(completions: readonly Completion[]): string {
  const words = completions.map(
    ({ path, words }) => `    '${path}') words='${words.map(({ text }) => text).join(' ')}' ;;`,
  );
  return `# Completion of tensorgate for bash.
_tensorgate() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at=tensorgate words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
    ${pathPattern(completions)}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$at $prev" in
${valueCases(completions, (list) => (list.length === 0 ? 'return' : `COMPREPLY=($(compgen -W '${list.join(' ')}' -- "$cur")); return`))}
  esac
  case "$at" in
${words.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _tensorgate tensorgate
`;
}

function zshScript(completions: readonly Completion[]): string {
  const words = completions.map(
    ({ path, words }) => `    '${path}') list=(${words.map((word) => quote(zshWord(word))).join(' ')}) ;;`,
  );
  return `#compdef tensorgate
_tensorgate() {
  local at=tensorgate i
  local -a list
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
    ${pathPattern(completions)}) at="$at \${words[i]}" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${valueCases(completions, (list) => (list.length === 0 ? '_files; return' : `compadd -- ${list.join(' ')}; return`))}
  esac
  case "$at" in
${words.join('\n')}
  esac
  _describe tensorgate list
  [[ "\${words[CURRENT]}" == -* ]] || _files
}
compdef _tensorgate tensorgate
`;
}

function zshWord({ text, description }: Word): string {
  return description === '' ? text : `${text}:${description}`;
}

function fishScript(completions: readonly Completion[]): string {
  const lines = completions.flatMap(({ path, words, values }) =>
    words.map(({ text, description }) => {
      const list = values.get(text);
      const word = text.startsWith('--') ? `-l ${text.slice(2)}` : `-a ${text}`;
      const value = list === undefined ? '' : list.length === 0 ? ' -r -F' : ` -x -a ${quote(list.join(' '))}`;
      return `complete -c tensorgate -n '__tensorgate_at "${path}"' ${word}${value} -d ${quote(description)}`;
    }),
  );
  return `# Completion of tensorgate for fish.
function __tensorgate_at
  set -l at tensorgate
  for word in (commandline -opc)[2..]
    switch "$at $word"
      case ${completions
        .slice(1)
        .map(({ path }) => quote(path))
        .join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
${lines.join('\n')}
`;
}

/** Quotes a text for all three shells. They escape a quote in different ways, so it becomes a typographic one. */
function quote(text: string): string {
  return `'${text.replaceAll("'", '’').replaceAll('\\', '')}'`;
}
