/** A JSON log line for human eyes: `2026-11-23T12:00:00.000Z WARN  text key=value`, then the cause, indented. */
export function formatLine(json: string): string {
  const { time, level, msg, cause, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${formatValue(value)}`);
  const head = `${time} ${String(level).toUpperCase().padEnd(5)} ${msg}${pairs.join('')}`;
  const lines =
    cause === undefined
      ? [head]
      : [
          head,
          ...String(cause)
            .split('\n')
            .map((line) => `    ${line}`),
        ];
  return lines.map((line) => `${withoutControls(line)}\n`).join('');
}

/** Quoted where it would not read as one word. */
function formatValue(value: unknown): string {
  return typeof value === 'string' && /^[\w.:/-]+$/.test(value) ? value : JSON.stringify(value);
}

/** Names and texts may come from outside: none may move the reader's cursor. */
function withoutControls(line: string): string {
  return line.replace(/\p{Cc}/gu, ' ');
}
