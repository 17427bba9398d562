import { spawnSync } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { freePort, startChildServer, untilReady } from './child-server.ts';

/**
 * - `hangs`: takes the command, and neither runs it nor responds.
 * - `answer lost`: runs the command and never responds.
 * - `fails`: responds with 500.
 * - `down`: breaks the connection.
 */
export type DoorMode = 'ok' | 'hangs' | 'answer lost' | 'fails' | 'down';

export interface RedisRestDoor {
  url: string;
  token: string;
  mode: DoorMode;
  /** The commands received since the last reset, in order, answered or not. */
  commands(): string[][];
  resetCommands(): void;
  /** Runs a command on Redis itself, past the door. */
  redis(command: string, ...args: (string | number)[]): Promise<unknown>;
  stop(): Promise<void>;
}

interface RedisClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  disconnect(): void;
}

/**
 * Starts a real Redis behind a door that speaks Upstash's REST API: one command at `/`, several at `/pipeline` and `/multi-exec`, a Bearer
 * token, base64 on request.
 * Source: https://upstash.com/docs/redis/features/restapi
 */
export async function startRedisRestDoor(): Promise<RedisRestDoor> {
  if (spawnSync('redis-server', ['--version']).error) {
    throw new Error('redis-server is not installed: run `npm run stack:install`');
  }
  const port = await freePort();
  const settings = { port: String(port), bind: '127.0.0.1', save: '', appendonly: 'no', dir: '/tmp' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = startChildServer('redis-server', args, { deathSignal: 'KILL' });
  const { Redis } = createRequire(import.meta.url)('ioredis');
  const client: RedisClient & { on(event: 'error', listener: () => void): void } = new Redis(
    port,
    '127.0.0.1',
  );
  client.on('error', () => {}); // it fails until Redis listens
  await untilReady('redis-server', server, () => client.call('ping'));

  let commands: string[][] = [];
  const token = crypto.randomUUID();

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const respond = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.headers.authorization !== `Bearer ${token}`) {
      respond(401, { error: 'WRONGPASS invalid or missing auth token' });
      return;
    }
    const body = JSON.parse(Buffer.concat(chunks).toString());
    const several = request.url === '/pipeline' || request.url === '/multi-exec';
    const requested: string[][] = several ? body : [body];
    commands.push(...requested);
    if (door.mode === 'hangs') return;
    if (door.mode === 'down') {
      request.socket.destroy();
      return;
    }
    if (door.mode === 'fails') {
      respond(500, { error: 'ERR internal' });
      return;
    }
    const encode = request.headers['upstash-encoding'] === 'base64' ? base64 : (value: unknown) => value;
    const run = async (command: string[]) => {
      try {
        return { result: encode(await client.call(command[0] ?? '', ...command.slice(1))) };
      } catch (error) {
        return { error: (error as Error).message };
      }
    };
    // ioredis sends in order on one connection, so no other command gets into a transaction.
    const all = request.url === '/multi-exec' ? [['MULTI'], ...requested, ['EXEC']] : requested;
    const results = await Promise.all(all.map(run));
    if (door.mode === 'answer lost') return;
    if (request.url === '/multi-exec') {
      const executed = results.at(-1);
      const values = executed && 'result' in executed ? (executed.result as unknown[] | null) : null;
      if (values)
        respond(
          200,
          values.map((result) => ({ result })),
        );
      else respond(400, executed);
    } else if (several) respond(200, results);
    else respond(results[0] && 'error' in results[0] ? 400 : 200, results[0]);
  };

  const http = createServer((request, response) => {
    handle(request, response).catch((error) =>
      response.writeHead(400).end(JSON.stringify({ error: `${error}` })),
    );
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const door: RedisRestDoor = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    token,
    mode: 'ok',
    commands: () => commands,
    resetCommands() {
      commands = [];
    },
    redis: (command, ...rest) => client.call(command, ...rest),
    async stop() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      client.disconnect();
      await server.stop('SIGKILL');
    },
  };
  return door;
}

/** Upstash leaves the status `OK` as it is, and encodes every other string. */
function base64(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(base64);
  return typeof value === 'string' && value !== 'OK' ? Buffer.from(value).toString('base64') : value;
}
