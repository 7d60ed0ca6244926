import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { ChannelListener } from '../../../src/gateway/dispatch/channel-listener.ts';

async function listening(): Promise<ChannelListener> {
  const listener = await ChannelListener.open();
  onTestFinished(() => {
    listener.close();
    listener.socket?.destroy();
  });
  return listener;
}

/** Connects, and says something. */
function caller({ address }: ChannelListener, ...said: readonly Uint8Array[]): net.Socket {
  const socket = net.connect(address.path);
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  for (const bytes of said) socket.write(bytes);
  return socket;
}

/** Resolves when the other side has dropped it, be it with a reset for bytes that it did not read. */
function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.resume().once('close', () => resolve()));
}

function keyOf({ address }: ChannelListener): Buffer {
  return Buffer.from(address.key, 'hex');
}

test('who says the key is welcomed, in however many pieces', async () => {
  const listener = await listening();
  const key = keyOf(listener);
  const socket = caller(listener, key.subarray(0, 5));
  await once(socket, 'connect');
  socket.write(key.subarray(5));
  await once(socket, 'data');
  expect(listener.socket?.destroyed).toBe(false);
});

test('who says anything else is dropped, and the thread still finds its place', async () => {
  const listener = await listening();
  const wrong = keyOf(listener).fill(0, 31);
  wrong[0] = (wrong[0] ?? 0) ^ 1;
  const strangers = [
    caller(listener, wrong),
    caller(listener, keyOf(listener), new Uint8Array(1)),
    caller(listener, new Uint8Array(100_000)),
  ];
  await Promise.all(strangers.map(closed));
  expect(listener.socket).toBe(undefined);
  await once(caller(listener, keyOf(listener)), 'data');
  expect(listener.socket).toBeDefined();
});

test('a second one with the key is dropped', async () => {
  const listener = await listening();
  await once(caller(listener, keyOf(listener)), 'data');
  const { socket } = listener;
  await closed(caller(listener, keyOf(listener)));
  expect(listener.socket).toBe(socket);
  expect(socket?.destroyed).toBe(false);
});

test('closed, it drops who said nothing, keeps the thread, and leaves no name', async () => {
  const listener = await listening();
  await once(caller(listener, keyOf(listener)), 'data');
  const silent = caller(listener);
  await once(silent, 'connect');
  const names = (): string => fs.readFileSync('/proc/net/unix', 'utf8');
  const name = `@${listener.address.path.slice(1)}`;
  expect(names()).toContain(name);
  const dropped = closed(silent);
  listener.close();
  await dropped;
  expect(listener.socket?.destroyed).toBe(false);
  await expect(once(net.connect(listener.address.path), 'connect')).rejects.toThrow('ECONNREFUSED');
  listener.socket?.destroy();
  await expect.poll(names).not.toContain(name);
});

test('every load has an address and a key of its own', async () => {
  const { address: first } = await listening();
  const { address: second } = await listening();
  expect(first.path).not.toBe(second.path);
  expect(first.key).not.toBe(second.key);
});
