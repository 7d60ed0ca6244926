import net from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Server, startServer } from '../../src/gateway/main.ts';
import { diagnostics } from '../../src/gateway/ops/diagnostics.ts';
import { loadSettings } from '../../src/gateway/ops/settings-loading.ts';
import { StartedParts } from '../../src/gateway/ops/started-parts.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

function start(flags: Readonly<Record<string, string>> = {}): Promise<Server> {
  const cwd = temporaryDirectory();
  const free = { modelRepository: cwd, grpcPort: '0', httpPort: '0', adminPort: '0', logLevel: 'silent' };
  const settings = loadSettings({ flags: { ...free, ...flags }, env: {}, cwd });
  return startServer(settings, { env: process.env, version: '0' });
}

interface WatchedParts {
  readonly started: string[];
  readonly ended: string[];
  /** Ended when nothing was logged. */
  readonly endedUnlogged: string[];
}

/** Parts of a server that were started and ended, by name. The start after `failing` others fails. */
function watchParts(failing = Number.POSITIVE_INFINITY): WatchedParts {
  const watched: WatchedParts = { started: [], ended: [], endedUnlogged: [] };
  const original = StartedParts.prototype.start;
  const spy = vi.spyOn(StartedParts.prototype, 'start').mockImplementation(function (
    this: StartedParts,
    name,
    open,
    end,
  ) {
    const failOrOpen = () => {
      if (watched.started.length === failing) throw new Error(`${name} does not start`);
      return open();
    };
    const watchedEnd = (part: unknown): unknown => {
      watched.ended.push(name);
      if (!diagnostics.notice.active) watched.endedUnlogged.push(name);
      return end(part);
    };
    return original.call(this, name, failOrOpen, watchedEnd).then((part) => {
      watched.started.push(name);
      return part;
    });
  });
  onTestFinished(() => spy.mockRestore());
  return watched;
}

/** What keeps a process alive. */
function resources(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => /^(TCPServerWrap|PipeServerWrap|ProcessWrap)$/.test(kind));
}

async function partNames(): Promise<string[]> {
  const { started } = watchParts();
  const server = await start();
  await server.loaded;
  await server.stop();
  vi.restoreAllMocks();
  return [...started];
}

describe('a server with a part that does not start', () => {
  test('ends each part before it, the last one first, whichever part fails', async () => {
    const names = await partNames();
    expect(names.slice(-3)).toEqual(['HTTP port', 'gRPC port', 'admin port']);
    for (const [index, name] of names.entries()) {
      const watched = watchParts(index);
      await expect(start(), name).rejects.toThrow(`${name} does not start`);
      expect(watched.started, name).toEqual(names.slice(0, index));
      expect(watched.ended, name).toEqual(names.slice(0, index).reverse());
      vi.restoreAllMocks();
      await vi.waitFor(() => expect(resources(), name).toEqual([]));
    }
  });

  test.each(['httpPort', 'grpcPort', 'adminPort'])('keeps no port where %s is taken', async (taken) => {
    await vi.waitFor(() => expect(resources()).toEqual([]));
    const other = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    onTestFinished(() => void other.close());
    const address = other.address();
    const port = typeof address === 'object' ? String(address?.port) : '';
    await expect(start({ [taken]: port })).rejects.toThrow(port);
    await vi.waitFor(() => expect(resources()).toEqual(['TCPServerWrap']));
  });

  test('without a model repository says so, and logs nothing after that', async () => {
    await expect(start({ modelRepository: 'nowhere' })).rejects.toThrow(/nowhere/);
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    diagnostics.notice.publish({ level: 'error', text: 'nobody listens' });
    expect(write).not.toHaveBeenCalled();
    write.mockRestore();
  });

  test('ends its log last, so that each part that cannot be ended is logged', async () => {
    const names = await partNames();
    expect(diagnostics.notice.active).toBe(false);
    const { ended, endedUnlogged } = watchParts(names.length - 1);
    await expect(start()).rejects.toThrow(`${names.at(-1)} does not start`);
    expect(ended.at(-1)).toBe('telemetry');
    expect(endedUnlogged).toEqual([]);
    expect(diagnostics.notice.active).toBe(false);
  });
});
