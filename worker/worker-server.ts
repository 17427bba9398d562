import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { callHeaders } from '../lib/cron/call-headers';
import { readSchedule, readScheduler, readSlot } from '../lib/cron/slots/slot';
import { bearerToken, secretsEqual } from '../lib/http/auth/secrets';
import { pathName } from '../lib/queues/scheduled-queue';
import type { PathLoop } from './path-loop';

export interface WorkerServerOptions {
  port: number;
  host: string;
  /** May be added to later. */
  loops: readonly PathLoop[];
  /** Opens `POST /ticks/:queue`; without it that is closed. */
  secret: string | undefined;
  /** The worker is ending. */
  signal: AbortSignal;
  now?: () => number;
}

export interface WorkerServer {
  url: string;
  health(): 'ok' | 'failing' | 'stopping';
  close(): Promise<void>;
}

/** A worker that has had something to do for so long, and no call that succeeded, is not well. */
const silentMs = 300_000;
const requestMs = 10_000;

/**
 * `GET /health`: 200, or 503 while the worker ends and where nothing succeeds. `POST /ticks/:queue` (WORKER_SECRET) wakes the queue's
 * loop, and answers 202 `{ queue, state }` at once; 503 where it would come to nothing, so that whoever asks does it himself.
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
    // Anybody may send anything: what is no path is not found.
    const [pathname] = request.url?.split('?') ?? [];
    const queue = /^\/ticks\/([\w-]{1,60})$/.exec(pathname ?? '')?.[1];
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
        // Nobody has anything to tell that would need a body: it is not waited for.
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
    // What is due once a day is silent all day, and well.
    const isSilent =
      now() - Math.min(...waiting) > silentMs && now() - Math.max(...succeeded, startedAt) > silentMs;
    return isSilent ? 'failing' : 'ok';
  }

  function answerHealth({ method }: IncomingMessage): Answer {
    if (method !== 'GET' && method !== 'HEAD') return notAllowed('GET');
    const paths = options.loops.map((loop) => ({ path: loop.path, latest: loop.latest() }));
    const status = health();
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
    const token = bearerToken({ headers: new Headers({ authorization: sent.authorization ?? '' }) });
    if (token === null || !secretsEqual(token, options.secret)) {
      const scheme = { 'WWW-Authenticate': 'Bearer' };
      return problem(401, 'unauthorised', 'send "Authorization: Bearer <WORKER_SECRET>"', scheme);
    }
    if (options.signal.aborted) return problem(503, 'stopping', 'the worker is ending');
    const path = `/api/cron/${pathName(queue)}`;
    // One with a query does something else: of jobs, what had failed for good.
    const loop = options.loops.find((one) => one.path === path);
    if (!loop) return problem(404, 'not_found', 'this worker does not tick that queue');
    const headers = describingHeaders(sent);
    const named = headers.get(callHeaders.path);
    const state = loop.wake({
      scheduler: readScheduler(headers),
      slot: readSlot(headers, now()),
      schedule: readSchedule(headers),
      path: named !== null && /^\/[\w/?=%.-]{1,199}$/.test(named) ? named : loop.path,
    });
    if (state === 'started' || state === 'running') return { status: 202, body: { queue, state } };
    return problem(503, state, 'the latest tick here came to nothing; /health says when');
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

function describingHeaders(sent: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const name of Object.values(callHeaders)) {
    const value = sent[name];
    if (typeof value === 'string') headers.set(name, value);
  }
  return headers;
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
