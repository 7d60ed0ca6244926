/** node bare-loop.ts MODEL DATATYPE: items per CPU-second of plain onnxruntime-node in one thread, by batch size, as JSON. */

import { InferenceSession, Tensor } from 'onnxruntime-node';

const BATCH_SIZES = [1, 8, 16, 32, 64] as const;
const MS_PER_SIZE = 1_000;

const [file = '', datatype] = process.argv.slice(2);
const session = await InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1 });
const rates: Record<number, number> = {};
for (const size of BATCH_SIZES) {
  const dims = [size, 3, 32, 32];
  const count = size * 3_072;
  const image =
    datatype === 'FP32'
      ? new Tensor(
          'float32',
          Float32Array.from({ length: count }, (_, index) => (index * 0.618_034) % 1),
          dims,
        )
      : new Tensor('uint8', new Uint8Array(count).fill(99), dims);
  for (let run = 0; run < 3; run++) await session.run({ image });
  const cpu = process.cpuUsage();
  const end = performance.now() + MS_PER_SIZE;
  let items = 0;
  while (performance.now() < end) {
    await session.run({ image });
    items += size;
  }
  const { user, system } = process.cpuUsage(cpu);
  rates[size] = (items * 1e6) / (user + system);
}
console.log(JSON.stringify(rates));
