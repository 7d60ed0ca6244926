/** Clients of streams that send, and do not read: what waits for them is bounded over all of them together. */

import fs from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { oneInstance } from '../e2e/protocol-requests.ts';
import { head, RawConnection } from '../gateway/accept/http/raw-http.ts';
import { identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { readMetrics } from './observation.ts';

const MiB = 2 ** 20;
const BUDGET = 64 * MiB;
const ELEMENTS = MiB / 4;
const STREAMS = 16;
const REQUESTS = 40;

const fixture = useServer(
  { echo: oneInstance(identityModel('FP32', ['batch', ELEMENTS])) },
  { flags: ['--log-level', 'silent', '--max-in-flight-bytes', String(BUDGET)] },
);

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

test('640 MiB of answers that are not read yet take 64 MiB of budget, and every request is answered', async () => {
  const row = Buffer.alloc(MiB);
  const request = (id: number): object => ({
    model_name: 'echo',
    id: String(id),
    inputs: [{ name: 'input', datatype: 'FP32', shape: [1, ELEMENTS] }],
    raw_input_contents: [row],
  });
  const { server, client } = fixture;
  const before = residentBytes(server.pid);
  const streams = Array.from({ length: STREAMS }, () => client.open('ModelStreamInfer'));
  for (let id = 0; id < REQUESTS; id++) for (const stream of streams) stream.send(request(id));
  for (const stream of streams) stream.halfClose();
  let mostHeld = 0;
  let mostResident = 0;
  await expect
    .poll(
      async () => {
        const metrics = await readMetrics(server);
        mostHeld = Math.max(mostHeld, metrics('tensorgate_in_flight_bytes'));
        mostResident = Math.max(mostResident, residentBytes(server.pid));
        const ended = ['OK', 'RESOURCE_EXHAUSTED'].map((status) =>
          metrics('tensorgate_requests_total', { model: 'echo', status }),
        );
        // What still waits for a reader is not read yet.
        return (
          ended.reduce((sum, count) => sum + count, 0) >= STREAMS && metrics('tensorgate_in_flight_requests') === 0
        );
      },
      { timeout: 60_000, interval: 100 },
    )
    .toBe(true);
  expect(mostHeld).toBeLessThanOrEqual(BUDGET);
  // Beside the budget: what the transport has taken, requests that wait to be read, and garbage.
  expect(mostResident - before).toBeLessThan(6 * BUDGET);

  for (const stream of streams) {
    const answers = await stream.rest();
    expect(answers.map(({ infer_response: { id } }) => Number(id))).toEqual(
      Array.from({ length: REQUESTS }, (_, id) => id),
    );
    for (const { error_message: text } of answers) {
      if (text !== '') expect(text).toMatch(/^the server holds \d+ of 67108864 bytes \(maxInFlightBytes\): /);
    }
    expect(await stream.ended).toBe('OK');
  }
  expect((await readMetrics(server))('tensorgate_in_flight_bytes')).toBe(0);
}, 120_000);

describe('REST answers that no one reads', () => {
  const ANSWER_BYTES = 12 * MiB;
  const CONNECTIONS = 16;
  /** What V8 and the allocator keep grows for some rounds; what leaks grows by CONNECTIONS answers in every round. */
  const MAX_ROUNDS = 8;
  const rest = useServer(
    { large: oneInstance(identityModel('UINT8', ['batch', ANSWER_BYTES])) },
    { flags: ['--log-level', 'silent', '--http-stall-ms', '2000'] },
  );

  test('are cut after the stall time, and the next ones are served from their memory', async () => {
    const { server } = rest;
    const request = head('POST', '/v2/models/large/infer', {
      'inference-header-content-length': 0,
      'content-length': ANSWER_BYTES,
    });
    let mostResident = 0;
    const isCutAndFreed = async (round: number): Promise<boolean> => {
      mostResident = Math.max(mostResident, residentBytes(server.pid));
      const metrics = await readMetrics(server);
      const cut = metrics('tensorgate_http_limits_total', { limit: 'httpStallMs' });
      return cut >= round * CONNECTIONS && metrics('tensorgate_http_unread_bytes') < MiB;
    };
    let peakBefore = Number.NEGATIVE_INFINITY;
    for (let round = 1; round <= MAX_ROUNDS && mostResident > peakBefore + ANSWER_BYTES; round++) {
      peakBefore = round > 1 ? mostResident : peakBefore;
      const connections = await Promise.all(
        Array.from({ length: CONNECTIONS }, () => RawConnection.open(server.httpPort, { paused: true })),
      );
      for (const connection of connections) {
        connection.socket.write(request);
        connection.socket.write(Buffer.alloc(ANSWER_BYTES));
      }
      await vi.waitUntil(() => isCutAndFreed(round), { timeout: 60_000, interval: 50 });
      for (const connection of connections) connection[Symbol.dispose]();
    }
    expect(mostResident - peakBefore).toBeLessThanOrEqual(ANSWER_BYTES);
    expect((await fetch(`${server.http}/livez`)).status).toBe(200);
  }, 600_000);
});
