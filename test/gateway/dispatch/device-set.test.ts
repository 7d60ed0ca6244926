import { describe, expect, test } from 'vitest';
import { DeviceSet } from '../../../src/gateway/dispatch/device-set.ts';
import type { SessionSpec } from '../../../src/worker/protocol.ts';
import { sessionSpec } from '../../support/runners.ts';

function session(fields: Partial<Pick<SessionSpec, 'deviceId' | 'providers'>> = {}, threads = 1): SessionSpec {
  const spec = sessionSpec('/nowhere/model.onnx');
  return { ...spec, options: { ...spec.options, intraOpNumThreads: threads }, ...fields };
}

describe('versions on the CPU', () => {
  test('share its cores', () => {
    const devices = new DeviceSet(4);
    const { device } = devices.placeOf('cpu', [session()]);
    expect(devices.placeOf('cpu', [session(), session()]).device).toBe(device);
  });

  test.each([
    ['their threads', 3, 3],
    ['all cores where they have more threads', 16, 4],
    ['all cores where ONNX Runtime chooses the threads', 0, 4],
  ])('take for a run %s', (_name, threads, cores) => {
    expect(new DeviceSet(4).placeOf('cpu', [session({}, threads)]).cores).toBe(cores);
  });
});

describe('versions on GPUs', () => {
  const on = (deviceId: number) => session({ deviceId, providers: ['cuda'] });

  test('share a GPU, and not with those on another or on the CPU', () => {
    const devices = new DeviceSet(4);
    const { device, cores } = devices.placeOf('cuda', [on(0)]);
    expect(cores).toBe(1);
    expect(devices.placeOf('tensorrt', [on(0)]).device).toBe(device);
    expect(devices.placeOf('cuda', [on(1)]).device).not.toBe(device);
    expect(devices.placeOf('cpu', [session()]).device).not.toBe(device);
  });

  test('take no turns for a version with instances on several', () => {
    const devices = new DeviceSet(4);
    const { device } = devices.placeOf('cuda', [on(0), on(1)]);
    expect(devices.placeOf('cuda', [on(0)]).device).not.toBe(device);
    expect(devices.placeOf('cuda', [on(0), on(1)]).device).not.toBe(device);
  });
});
