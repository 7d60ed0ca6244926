/** Generates `docs/configuration.md` from the settings; a test compares the two. */

import { legalValues, SETTINGS, type SettingDescription } from './setting-description.ts';
import { SETTINGS_JSON_SCHEMA } from './settings-json-schema.ts';

const INTRODUCTION = `# Configuration

For platform engineers: all settings of the process. [models.md](models.md) has the settings of one model
(\`config.yaml\`, \`config.pbtxt\`).

\`\`\`sh
npx tensorgate serve --model-repository models --grpc-port 9001 --print-config
\`\`\`

This prints every setting with its value and its source, and starts nothing. The first source that names a setting wins:

1. a flag of \`tensorgate serve\`;
2. an environment variable;
3. the file \`tensorgate.yaml\` in the working directory, or the file of \`--config FILE\`;
4. the default.

- An unknown name is an error that suggests the nearest known name.
- Paths in flags and variables are relative to the working directory, paths in the file to the file.
- White space around the value of a variable is ignored. An empty variable counts as not set.
`;

const STANDARD_VARIABLES = `
## Standard variables

- \`LOG_LEVEL\` is used when \`TENSORGATE_LOG_LEVEL\` is not set and its value is a level of tensorgate, in any case.
- \`OTEL_*\` work [as OpenTelemetry defines them](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
  \`/metrics\` is always served; traces and pushed metrics are off until a variable turns them on:

  | variable | turns on |
  |---|---|
  | \`OTEL_EXPORTER_OTLP_ENDPOINT\` | traces and pushed metrics |
  | \`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT\`, \`OTEL_TRACES_EXPORTER\` | only traces |
  | \`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT\`, \`OTEL_METRICS_EXPORTER\` | only pushed metrics |
  | \`OTEL_SDK_DISABLED=true\` | neither |
- \`OTEL_PROPAGATORS\` selects the trace context formats. Without it, the server continues traces from W3C \`traceparent\` and
  from B3 (\`b3\` or \`x-b3-*\`), and ignores baggage.
- Compiled code is kept in \`$XDG_CACHE_HOME/tensorgate\` (\`~/.cache/tensorgate\`): later starts take less CPU time.
  \`NODE_COMPILE_CACHE\` names another directory, \`NODE_DISABLE_COMPILE_CACHE=1\` turns the cache off.
`;

export function documentSettings(): string {
  const sections = SETTINGS.map(
    (setting) => `
### ${setting.key}

${setting.description}

- Flag \`${setting.flag}\`, variable \`${setting.env}\`
- ${sentence(legalValues(setting))}; ${formatDefault(setting)}
`,
  );
  return `${INTRODUCTION}\n## Settings\n${sections.join('')}${STANDARD_VARIABLES}`;
}

/** Generates `schema/tensorgate.schema.json`, which editors use for `tensorgate.yaml`. */
export function settingsSchema(): object {
  return { ...SETTINGS_JSON_SCHEMA, title: 'tensorgate.yaml', description: 'The settings of a tensorgate server.' };
}

function formatDefault({ default: value, derivedDefault, required }: SettingDescription): string {
  if (derivedDefault !== undefined) return `default: ${derivedDefault}`;
  if (value === undefined) return required ? 'required' : 'not set by default';
  return String(value) === '' ? 'default: none' : `default \`${value}\``;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
