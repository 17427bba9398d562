import { z } from 'zod';
import { systemClock } from '../engine/ports/clock';
import type { Queue } from '../engine/queue';
import { requireCronSecret } from '../http/auth/cron-secret';
import { respond } from '../http/error-response';
import { noQuery, type QuerySchema, readQuery } from '../http/query';
import { type Container, container } from '../services/container';
import type { ServerEnv } from '../services/env';
import { type After, goOn } from './continuation';
import { type CronCall, readCall } from './cron-call';
import type { CronWork } from './cron-work';
import { tickWork } from './handlers/tick-partition';

/** Of an endpoint of a queue with named parts: the one that is meant. */
export const partQuery = z.strictObject({ queue: z.string().optional() });

export interface CronRouteOptions {
  /** The route's, in seconds. */
  maxDuration: number;
  /** Next's `after`: what is due when the call ends is gone on with at once, by a call of its own. Without it the next slot does. */
  after?: After;
  /** What may follow the `?`; nothing unless given. */
  query?: QuerySchema;
}

/**
 * The handler of a queue's cron endpoint: one tick a call. `partition` is the part of the queue that is its own (`main`).
 *
 * 200 with the `TickReport` (`skipped` where another tick is running), 401 without the secret, 503 with what to set or when to come
 * again.
 */
export function cronRoute<Row, Deps>(
  queue: Queue<Row, Deps, ServerEnv>,
  { partition, ...options }: CronRouteOptions & { partition?: string },
) {
  return workRoute(tickWork(queue, partition), options);
}

/**
 * The handler of a cron endpoint that does `work`: 200 with what it answers, 400 for a query that it does not take, otherwise as
 * `cronRoute`.
 */
export function workRoute(work: CronWork, options: CronRouteOptions) {
  return (request: Request): Promise<Response> =>
    answerCron(request, options, async (call) => runWork(work, await container(), call, options.after));
}

/** The answer to a scheduler's call: `run` is called once it has shown the secret and asked for what there is. */
export function answerCron(
  request: Request,
  { maxDuration, query = noQuery }: CronRouteOptions,
  run: (call: CronCall) => Promise<object>,
): Promise<Response> {
  const startedAt = systemClock.now();
  return respond(async () => {
    requireCronSecret(request);
    readQuery(new URL(request.url), query);
    return run(readCall(request, { maxDuration, startedAt }));
  });
}

/** Does the work of a call, and goes on with what is left. Answers the body; throws the fault once all else is done. */
export async function runWork(
  work: CronWork,
  shared: Container,
  call: CronCall,
  after: After | undefined,
): Promise<object> {
  const { reports, body, fault } = await work(shared, call);
  goOn(shared, call, reports, after);
  if (fault !== undefined) throw fault;
  return body;
}
