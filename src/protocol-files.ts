/** The definitions of the protocol that are installed with the package: the same place seen from `src/` and from `dist/`. */

import { fileURLToPath } from 'node:url';

export const PROTO_DIRECTORY = fileURLToPath(new URL('../proto', import.meta.url));

/** The compiled form of all of `proto/`: a `google.protobuf.FileDescriptorSet`. */
export const DESCRIPTOR_SET_PATH = fileURLToPath(new URL('../proto/tensorgate.binpb', import.meta.url));
