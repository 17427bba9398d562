import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { secretsEqual } from '../lib/server/secrets';
import { readClock, readSchedule, readSlot } from '../lib/server/slot';
import type { PathLoop } from './path-loop';

export interface WorkerServerOptions {
  port: number;
  host: string;
  loops: PathLoop[];
  /** Opens `POST /ticks/:queue`; without it that is closed. */
  secret: string | undefined;
  /** The worker is ending. */
  signal: AbortSignal;
  now?: () => number;
}

export interface WorkerServer {
  url: string;
  close(): Promise<void>;
}

/** A worker of which no call has succeeded for so long is not well. */
const silentMs = 300_000;

/**
 * `GET /health`: 200, or 503 while the worker ends and where nothing succeeds. `POST /ticks/:queue` (WORKER_SECRET) wakes the queue's
 * loop, and answers 202 `{ queue, state }` at once.
 */
export async function startWorkerServer(options: WorkerServerOptions): Promise<WorkerServer> {
  const { now = Date.now } = options;
  const startedAt = now();
  const server: Server = createServer((request, response) => {
    // Nobody has anything to tell that would need a body.
    request.resume();
    const { pathname } = new URL(request.url ?? '/', 'http://worker.invalid');
    const queue = /^\/ticks\/([\w-]{1,60})$/.exec(pathname)?.[1];
    const { status, body, headers } =
      pathname === '/health'
        ? answerHealth(request)
        : queue !== undefined
          ? answerTick(request, queue)
          : problem(404, 'not_found', 'there are GET /health and POST /ticks/:queue');
    response
      .writeHead(status, {
        'Content-Type': 'application/json; charset=utf-8',
        'Cache-Control': 'no-store',
        ...headers,
      })
      .end(JSON.stringify(body));
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;

  function answerHealth({ method }: IncomingMessage): Answer {
    if (method !== 'GET' && method !== 'HEAD') return notAllowed('GET');
    const paths = options.loops.map((loop) => ({ path: loop.path, latest: loop.latest() }));
    const succeeded = paths.flatMap(({ latest }) => (latest?.state === 'ok' ? [latest.at] : []));
    const isSilent = now() - Math.max(startedAt, ...succeeded) > silentMs;
    const status = options.signal.aborted ? 'stopping' : isSilent ? 'failing' : 'ok';
    // Anybody may ask: how things are, and not why.
    const pathStates = paths.map(({ path, latest }) => [
      path,
      latest && {
        status: latest.state,
        secondsAgo: Math.round((now() - latest.at) / 1_000),
      },
    ]);
    const uptimeSeconds = Math.round((now() - startedAt) / 1_000);
    const body = { status, uptimeSeconds, paths: Object.fromEntries(pathStates) };
    return { status: status === 'ok' ? 200 : 503, body };
  }

  function answerTick({ method, headers: sent }: IncomingMessage, queue: string): Answer {
    if (method !== 'POST') return notAllowed('POST');
    if (options.secret === undefined) return problem(503, 'not_configured', 'WORKER_SECRET is not set');
    const token = /^Bearer +(\S+) *$/i.exec(sent.authorization ?? '')?.[1];
    if (token === undefined || !secretsEqual(token, options.secret)) {
      const scheme = { 'WWW-Authenticate': 'Bearer' };
      return problem(401, 'unauthorised', 'send "Authorization: Bearer <WORKER_SECRET>"', scheme);
    }
    if (options.signal.aborted) return problem(503, 'stopping', 'the worker is ending');
    const path = `/api/cron/${queue.replaceAll('_', '-')}`;
    const loop = options.loops.find((one) => one.path.split('?')[0] === path);
    if (!loop) return problem(404, 'not_found', 'this worker does not tick that queue');
    const headers = new Headers(sent as Record<string, string>);
    const named = headers.get('x-punctual-path');
    const state = loop.wake({
      clockName: readClock(headers),
      slot: readSlot(headers, now()),
      schedule: readSchedule(headers),
      path: named !== null && /^\/[\w/?=%.-]{1,199}$/.test(named) ? named : loop.path,
    });
    return { status: 202, body: { queue, state } };
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Answer {
  status: number;
  body: object;
  headers?: Record<string, string>;
}

function problem(status: number, kind: string, message: string, headers?: Record<string, string>): Answer {
  return { status, body: { error: { kind, message } }, headers };
}

function notAllowed(method: string): Answer {
  return problem(405, 'method_not_allowed', `send ${method}`, { Allow: method });
}
