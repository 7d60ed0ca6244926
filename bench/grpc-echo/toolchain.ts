/** Builds the gRPC echo in C++, which is the peer of every identity figure. */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { grpcCpp } from '../../test/tools/tools.ts';

const HERE = import.meta.dirname;

/**
 * The program, built again if its source or the protocol changed. `undefined` without gRPC for C++: the skip is printed.
 * @throws Error where the build fails
 */
export function grpcEcho(): string | undefined {
  if (grpcCpp() === undefined) {
    console.warn(
      "SKIPPED: the gRPC echo in C++, the peer of these figures. It needs Debian's g++, make, pkg-config, libgrpc++-dev, libprotobuf-dev and protobuf-compiler-grpc (test/tools/setup.sh installs them)",
    );
    return undefined;
  }
  const { status } = spawnSync('make', ['--silent', '-C', HERE], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`make -C ${HERE} ended with ${status}`);
  return path.join(HERE, 'build/grpc-echo');
}
