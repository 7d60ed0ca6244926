/** Changed copies of protobuf messages. A spread would lose the defaults of fields that are not set: they are the prototype's. */

import { clearField, create, type DescField, type DescMessage, type MessageShape } from '@bufbuild/protobuf';

/** A shallow copy of `message` with some fields changed, and others no longer set. */
export function changed<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  fields: Partial<MessageShape<Desc>>,
  cleared: readonly DescField[] = [],
): MessageShape<Desc> {
  const copy = Object.assign(create(schema), message, fields);
  for (const field of cleared) clearField(copy, field);
  return copy;
}
