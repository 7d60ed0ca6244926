import { expect, test } from 'vitest';
import { SharedConnectionGroup } from '../../src/http2/connection-group.ts';
import { below, randomFrom } from '../support/random.ts';

function groupOf(servers: number): SharedConnectionGroup[] {
  const memory = SharedConnectionGroup.memoryFor(servers);
  return Array.from({ length: servers }, (_, own) => new SharedConnectionGroup(memory, own, 12_345));
}

function addressOf(number: number): string {
  return `10.0.${number >> 8}.${number & 255}`;
}

test('each server sees the sockets of all others, in all and from an address, through any order of openings', () => {
  const random = randomFrom(3);
  const servers = groupOf(3);
  const counts = servers.map(() => new Map<string, number>());
  for (let step = 0; step < 3_000; step++) {
    const at = below(servers.length, random);
    const address = addressOf(below(20, random));
    const before = counts[at]?.get(address) ?? 0;
    const isOpening = before === 0 || random() < 0.5;
    counts[at]?.set(address, before + (isOpening ? 1 : -1));
    if (isOpening) servers[at]?.opened(address);
    else servers[at]?.closed(address);
    const elsewhere = counts.filter((_, other) => other !== at);
    const all = elsewhere.flatMap((each) => [...each.values()]).reduce((sum, count) => sum + count, 0);
    const ofAddress = elsewhere.reduce((sum, each) => sum + (each.get(address) ?? 0), 0);
    expect(servers[at]?.others(address)).toEqual({ all, ofAddress });
  }
});

test('a server that ended holds nothing any more, and the others keep theirs', () => {
  const [first, second, third] = groupOf(3);
  for (const server of [first, second]) server?.opened('10.0.0.1');
  first?.clear();
  expect(third?.others('10.0.0.1')).toEqual({ all: 1, ofAddress: 1 });
  expect(second?.others('10.0.0.1')).toEqual({ all: 0, ofAddress: 0 });
});

test('few of a thousand addresses share their class with another', () => {
  const [own, other] = groupOf(2);
  for (let number = 0; number < 1_000; number++) other?.opened(addressOf(number));
  const shared = Array.from({ length: 1_000 }, (_, number) => own?.others(addressOf(number)).ofAddress ?? 0);
  // By chance some 120.
  expect(shared.filter((sockets) => sockets > 1).length).toBeLessThan(200);
});
