/** The probes of a container, as a kubelet makes them: from outside of the pod, over its address. */

import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials } from '@grpc/grpc-js';
import type { ProbeSpec } from './pod-spec.ts';

/** One look. Resolves with whether it was answered well and in time. @throws Error on a kind that the rig does not know */
export async function probe({ httpGet, grpc, timeoutSeconds = 1 }: ProbeSpec, ip: string): Promise<boolean> {
  const ms = timeoutSeconds * 1000;
  if (httpGet !== undefined) return probeHttp(`http://${ip}:${httpGet.port}${httpGet.path ?? '/'}`, ms);
  if (grpc !== undefined) return probeHealth(`${ip}:${grpc.port}`, grpc.service ?? '', ms);
  throw new Error('the rig knows no such probe');
}

async function probeHttp(url: string, ms: number): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ms) });
    await response.arrayBuffer();
    return response.status >= 200 && response.status < 400;
  } catch {
    return false;
  }
}

/** grpc.health.v1.Health/Check; its messages are short enough to be written by hand. */
async function probeHealth(target: string, service: string, ms: number): Promise<boolean> {
  const client = new Client(target, credentials.createInsecure(), { 'grpc.service_config_disable_resolution': 1 });
  const name = Buffer.from(service);
  const request = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const isServing = await new Promise<boolean>((resolve) => {
    const echo = (bytes: Buffer): Buffer => bytes;
    const deadline = Date.now() + ms;
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', echo, echo, request, { deadline }, (error, answer) =>
      resolve(error === null && answer !== undefined && answer[0] === 0x08 && answer[1] === 1),
    );
  });
  client.close();
  return isServing;
}

/**
 * Looks again and again until `signal` is aborted, and reports each change of mind: to yes after `successThreshold` good
 * looks in a row, to no after `failureThreshold` bad ones.
 */
export async function keepProbing(
  spec: ProbeSpec,
  ip: string,
  signal: AbortSignal,
  report: (isWell: boolean) => Promise<void> | void,
): Promise<void> {
  const { initialDelaySeconds = 0, periodSeconds = 10, successThreshold = 1, failureThreshold = 3 } = spec;
  let said: boolean | undefined;
  let row = 0;
  let last: boolean | undefined;
  try {
    await delay(initialDelaySeconds * 1000, undefined, { signal });
    for (;;) {
      const isWell = await probe(spec, ip);
      signal.throwIfAborted();
      row = isWell === last ? row + 1 : 1;
      last = isWell;
      if (isWell !== said && row >= (isWell ? successThreshold : failureThreshold)) {
        said = isWell;
        await report(isWell);
      }
      await delay(periodSeconds * 1000, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
