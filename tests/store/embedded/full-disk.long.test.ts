import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

const folder = mkdtempSync(path.join(tmpdir(), 'punctual-disk-'));
const program = path.join(import.meta.dirname, 'full-disk-process.ts');
/** Mounts a disk of 120 MB that only the process sees and that ends with it. It needs no privileges. */
const onSmallDisk = 'mount -t tmpfs -o size=120m tmpfs "$1" && exec "$0" --import tsx "$2" "$1"';

let app: ChildProcess;
let account_id: string;

beforeAll(async () => {
  app = spawn(
    'unshare',
    ['--map-root-user', '--mount', 'sh', '-c', onSmallDisk, process.execPath, folder, program],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  const { status, body } = await call('start');
  expect(status).toBe(200);
  account_id = body.account.id;
}, 120_000);
afterAll(() => {
  app.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
async function call(command: string, args: object = {}): Promise<{ status: number; body: any }> {
  const response = once(app, 'message', { signal: AbortSignal.timeout(60_000) });
  app.send({ command, ...args });
  return (await response)[0].response;
}
const send = (batch: number) => call('send', { account_id, batch });

describe.runIf(process.platform === 'linux')('an embedded database whose disk is full', () => {
  it('refuses every call, loses no acknowledged row, and works again once there is room', async () => {
    await call('fill');
    let acknowledged = 0;
    for (let full = false; !full; ) {
      const { status, body } = await send(acknowledged);
      full = status !== 201;
      if (full)
        expect([status, body.error.message]).toEqual([
          503,
          expect.stringMatching(/disk is full: free space/),
        ]);
      else acknowledged++;
    }
    for (let n = 0; n < 3; n++) {
      const { status, body } = await send(acknowledged);
      expect([status, body.error.kind]).toEqual([503, 'database_unavailable']);
      expect(body.error.message).toContain('disk is full: free space');
    }
    expect(await call('health')).toMatchObject({ status: 503, body: { database: 'failing' } });
    const report = once(app, 'message', { signal: AbortSignal.timeout(10_000) });
    app.kill('SIGTERM');
    expect((await report)[0]).toEqual({ signal: 'SIGTERM' });

    await call('free');
    await vi.waitFor(async () => expect((await call('health')).status).toBe(200), {
      timeout: 60_000,
      interval: 500,
    });
    expect(acknowledged).toBeGreaterThan(0);
    for (let batch = 0; batch < acknowledged; batch++) {
      const { status, body } = await send(batch);
      expect(status).toBe(200);
      expect(body.rows.every(({ created }: { created: boolean }) => !created)).toBe(true);
    }
    expect((await send(acknowledged)).status).toBe(201);
  }, 240_000);
});
