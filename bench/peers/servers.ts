import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort, startChildServer, untilReady } from '../../tests/stack/child-server.ts';
import { startStack } from '../../tests/stack/start-stack.ts';
import type { Servers } from './contenders/contender.ts';

/** Starts Postgres 15, PostgREST and Redis. Postgres commits durably; Redis keeps nothing on disk, as BullMQ's users often run it. */
export async function startServers(): Promise<Servers & { stop(): Promise<void> }> {
  if (spawnSync('redis-server', ['--version']).error)
    throw new Error('redis-server is not installed: run `npm run stack:install`');
  const stack = await startStack();
  const directory = mkdtempSync(path.join(tmpdir(), 'punctual-bench-redis-'));
  const redisPort = await freePort();
  const redis = startChildServer(
    'redis-server',
    [
      '--port',
      String(redisPort),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      directory,
    ],
    { deathSignal: 'KILL' },
  );
  await untilReady('redis-server', redis, async () => {
    const socket = connect({ port: redisPort, host: '127.0.0.1' });
    await once(socket, 'connect');
    socket.destroy();
  });
  return {
    databaseUrl: stack.databaseUrl,
    supabaseUrl: stack.supabaseUrl,
    postgrestUrl: stack.postgrestUrl,
    serviceRoleKey: stack.serviceRoleKey,
    redisPort,
    async stop() {
      await redis.stop('SIGTERM');
      rmSync(directory, { recursive: true, force: true });
      await stack.stop();
    },
  };
}
