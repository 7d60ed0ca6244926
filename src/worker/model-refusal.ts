/** The reason why ONNX Runtime does not open a model, with the cause and the remedy where its own text has none. */

import { messageOf } from '../error-message.ts';

/** @param error of the binding, when it opens a session */
export function describeRefusal(error: unknown): string {
  const text = messageOf(error);
  const locale = /Failed to construct locale with name:(?<locale>[^:\s]+)/.exec(text)?.groups?.['locale'];
  if (locale === undefined) return text;
  return `a StringNormalizer of the model needs the locale '${locale}', which this system does not have: ${localeRemedy(locale)}`;
}

/** ONNX Runtime opens locales by name, whatever the environment says. */
function localeRemedy(locale: string): string {
  const language = /^(?<language>[a-z]{2,3}_[A-Z]{2})\.utf-?8$/i.exec(locale)?.groups?.['language'];
  const install =
    language === undefined
      ? 'install it'
      : `install it (Debian, Ubuntu: apt-get install locales && localedef -i ${language} -f UTF-8 ${locale})`;
  return `${install}, or set the attribute locale of that node to C.UTF-8 (docs/export.md)`;
}
