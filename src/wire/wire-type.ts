/** How the value of a field is laid out: the low three bits of its tag (protobuf.dev, "Encoding"). */
export const WireType = {
  VARINT: 0,
  FIXED64: 1,
  LENGTH_DELIMITED: 2,
  GROUP_START: 3,
  GROUP_END: 4,
  FIXED32: 5,
} as const;

export type WireTypeNumber = (typeof WireType)[keyof typeof WireType];
