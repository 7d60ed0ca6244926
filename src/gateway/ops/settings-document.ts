/** `docs/configuration.md`, made from the settings. A test holds the two together. */

import { FILE_JSON_SCHEMA, legalValues, SETTINGS, type SettingDescription } from './settings.ts';

const INTRODUCTION = `# Configuration

A setting of the process comes from the first of these that names it:

1. a flag of \`tensorgate serve\`;
2. an environment variable;
3. the file \`tensorgate.yaml\` in the working directory, or the one of \`--config FILE\`;
4. its default.

Unknown names are refused, with the nearest known one. \`tensorgate serve --print-config\` prints each value and where it comes
from. Paths in flags and variables are relative to the working directory, those in the file to the file. White space around
a variable's value does not count, and an empty variable counts as absent. How one model is served is set beside the model, in its \`config.yaml\` or \`config.pbtxt\`.
`;

const STANDARD_VARIABLES = `
## Standard variables

- \`LOG_LEVEL\` counts where \`TENSORGATE_LOG_LEVEL\` is not set and it names a level of tensorgate, in capitals or not.
- \`OTEL_*\`, [as OpenTelemetry defines them](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
  Traces and pushed metrics are off until an exporter is asked for: \`OTEL_EXPORTER_OTLP_ENDPOINT\` turns both on,
  \`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT\` or \`OTEL_TRACES_EXPORTER\` traces alone, \`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT\` or
  \`OTEL_METRICS_EXPORTER\` pushed metrics alone, and \`OTEL_SDK_DISABLED=true\` none. \`/metrics\` is always there.
- \`OTEL_PROPAGATORS\`: without it, callers' traces are continued from W3C \`traceparent\` and from B3 (\`b3\` or \`x-b3-*\`), and baggage
  is not read.
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

/** `schema/tensorgate.schema.json`, likewise. */
export function settingsSchema(): object {
  return { ...FILE_JSON_SCHEMA, title: 'tensorgate.yaml', description: 'The settings of a tensorgate server.' };
}

function formatDefault({ default: value, derivedDefault, required }: SettingDescription): string {
  if (derivedDefault !== undefined) return `default: ${derivedDefault}`;
  if (value === undefined) return required ? 'has to be given' : 'off unless given';
  return String(value) === '' ? 'default: none' : `default \`${value}\``;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
