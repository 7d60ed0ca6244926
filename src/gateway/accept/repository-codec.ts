/** The messages of RepositoryModelLoad and RepositoryModelUnload, whose requests may carry a configuration and files. */

import { WireError } from '../../wire/limits.ts';
import { decodeRepositoryRequest, type RepositoryRequest } from '../../wire/repository-request.ts';
import { InferError } from '../errors.ts';
import type { Codec } from './definition.ts';

/** A codec that decodes the request here, and encodes the response as the codec of the same RPC does. */
export function repositoryCodec({ path, encode }: Codec<object, object>): Codec<RepositoryRequest, object> {
  return {
    path,
    decode(bytes) {
      try {
        return decodeRepositoryRequest(bytes);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        if (error.kind === 'limit') throw new InferError('limit_exceeded', `${path}: ${error.message}`);
        throw new InferError('malformed_message', `Unable to parse request: ${path}: ${error.message}`);
      }
    },
    encode,
  };
}
