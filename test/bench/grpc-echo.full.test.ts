/** The peer of the identity figures answers like our own server does: otherwise its cost would not be comparable. */

import { expect, test } from 'vitest';
import { grpcEcho } from '../../bench/grpc-echo/toolchain.ts';
import { startGrpcEcho } from '../../bench/processes.ts';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { grpcCpp } from '../tools/tools.ts';

/** The compiler takes a minute and a half of CPU for the code of the protocol. */
const BUILD_MS = 600_000;

test.skipIf(grpcCpp() === undefined)(
  'the gRPC echo in C++ answers the tensor of a request, of 4 B and of 602 KB',
  { timeout: BUILD_MS },
  async ({ onTestFinished }) => {
    const echo = await startGrpcEcho(grpcEcho() ?? '');
    onTestFinished(() => echo.stop());
    using client = new InferenceClient(`127.0.0.1:${echo.port}`, { deadlineMs: 60_000 });
    for (const columns of [1, 150_528]) {
      const data = Float32Array.from({ length: columns }, (_, index) => index / 7);
      const { modelName, outputs } = await client.infer('identity', { x: tensor.fp32(data, [1, columns]) });
      expect(modelName).toBe('identity');
      expect(outputs.get('y')?.shape).toEqual([1, columns]);
      expect(outputs.get('y')?.data).toEqual(data);
    }
  },
);
