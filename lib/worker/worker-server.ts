import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { callHeaders } from '../cron/call-headers.ts';
import { readSchedule, readScheduler, readSlot } from '../cron/slots/slot.ts';
import { bearerToken, secretsEqual } from '../http/auth/secrets.ts';
import { pathName } from '../queues/find-queue.ts';
import type { PathLoop } from './path-loop.ts';

export interface WorkerServerOptions {
  port: number;
  host: string;
  /** The caller may add loops later. */
  loops: readonly PathLoop[];
  /** The secret of `POST /ticks/:queue`; without it, that path responds with 503. */
  secret: string | undefined;
  /** Aborts when the worker must end. */
  signal: AbortSignal;
  now?: () => number;
}

export interface WorkerServer {
  url: string;
  health(): 'ok' | 'failing' | 'stopping';
  close(): Promise<void>;
}

/** The worker is failing if a call has been due for this long and none has succeeded for as long. */
const silentMs = 300_000;
const requestMs = 10_000;

/**
 * Starts the worker's HTTP server:
 * - `GET /health`: 200, or 503 if the worker is ending or its calls fail.
 * - `POST /ticks/:queue` with WORKER_SECRET: wakes the queue's loop. 202 with `{ queue, state }` at once; 503 if the loop's latest call failed, so
 *   that the caller ticks by itself.
 */
export async function startWorkerServer(options: WorkerServerOptions): Promise<WorkerServer> {
  const { now = Date.now } = options;
  const startedAt = now();
  const limits = {
    headersTimeout: requestMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: requestMs / 2,
  };
  const server: Server = createServer(limits, (request, response) => {
    // `request.url` may be anything, for example no valid path.
    const [pathname] = request.url?.split('?') ?? [];
    const queue = /^\/ticks\/([\w-]{1,60})$/.exec(pathname ?? '')?.[1];
    const { status, body, headers } =
      pathname === '/health'
        ? reportHealth(request)
        : queue !== undefined
          ? wakeLoop(request, queue)
          : problem(404, 'not_found', 'this server has only GET /health and POST /ticks/:queue');
    response
      .writeHead(status, {
        'Content-Type': 'application/json; charset=utf-8',
        'Cache-Control': 'no-store',
        // No request needs a body, so the server does not wait for one.
        Connection: 'close',
        ...headers,
      })
      .end(JSON.stringify(body));
  });

  function health(): ReturnType<WorkerServer['health']> {
    if (options.signal.aborted) return 'stopping';
    const latest = options.loops.map((loop) => loop.latest());
    const succeeded = latest.flatMap((call) => (call?.state === 'ok' ? [call.at] : []));
    const waiting = options.loops.flatMap((loop) => loop.dueSince() ?? []);
    // Both conditions: a worker with only daily schedules has no success all day, and is well.
    const isSilent =
      now() - Math.min(...waiting) > silentMs && now() - Math.max(...succeeded, startedAt) > silentMs;
    return isSilent ? 'failing' : 'ok';
  }

  function reportHealth({ method }: IncomingMessage): JsonResponse {
    if (method !== 'GET' && method !== 'HEAD') return notAllowed('GET');
    const paths = options.loops.map((loop) => ({ path: loop.path, latest: loop.latest() }));
    const status = health();
    // Anyone may request this, so it contains no errors.
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

  function wakeLoop({ method, headers: sent }: IncomingMessage, queue: string): JsonResponse {
    if (method !== 'POST') return notAllowed('POST');
    if (options.secret === undefined)
      return problem(503, 'not_configured', 'WORKER_SECRET is not set at the worker. Set it and restart it');
    const token = bearerToken({ headers: new Headers({ authorization: sent.authorization ?? '' }) });
    if (token === null || !secretsEqual(token, options.secret)) {
      const scheme = { 'WWW-Authenticate': 'Bearer' };
      return problem(401, 'unauthorised', 'send "Authorization: Bearer <WORKER_SECRET>"', scheme);
    }
    if (options.signal.aborted) return problem(503, 'stopping', 'the worker is ending');
    const path = `/cron/${pathName(queue)}`;
    // The path must end so, because one with a query has another task: `/api/cron/jobs?partition=failed` retries dead jobs.
    const loop = options.loops.find((one) => one.path.endsWith(path));
    if (!loop) return problem(404, 'not_found', 'this worker does not tick that queue');
    const headers = pickCallHeaders(sent);
    const named = headers.get(callHeaders.path);
    const state = loop.wake({
      scheduler: readScheduler(headers),
      slot: readSlot(headers, now()),
      schedule: readSchedule(headers),
      path: named !== null && /^\/[\w/?=%.-]{1,199}$/.test(named) ? named : loop.path,
    });
    if (state === 'started' || state === 'running') return { status: 202, body: { queue, state } };
    return problem(503, state, "the latest tick of this queue failed: see GET /health and the worker's log");
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    health,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function pickCallHeaders(sent: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const name of Object.values(callHeaders)) {
    const value = sent[name];
    if (typeof value === 'string') headers.set(name, value);
  }
  return headers;
}

interface JsonResponse {
  status: number;
  body: object;
  headers?: Record<string, string>;
}

function problem(
  status: number,
  kind: string,
  message: string,
  headers?: Record<string, string>,
): JsonResponse {
  return { status, body: { error: { kind, message } }, headers };
}

function notAllowed(method: string): JsonResponse {
  return problem(405, 'method_not_allowed', `send ${method}`, { Allow: method });
}
