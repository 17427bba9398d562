import { z } from 'zod';
import { systemClock } from '../engine/ports/clock';
import type { Queue } from '../engine/queue';
import { refuseCron } from '../http/auth/refuse-cron';
import { failed } from '../http/failure';
import { noQuery, type QuerySchema, readQuery } from '../http/query';
import { json } from '../http/respond';
import { container } from '../services/container';
import type { ServerEnv } from '../services/env';
import { type After, goOn } from './continuation';
import { readCall } from './cron-call';
import type { CronWork } from './cron-work';
import { tickWork } from './handlers/tick-work';

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
export function workRoute(work: CronWork, { maxDuration, after, query = noQuery }: CronRouteOptions) {
  return async (request: Request): Promise<Response> => {
    const startedAt = systemClock.now();
    const refused = refuseCron(request);
    if (refused) return refused;
    const read = readQuery(new URL(request.url), query);
    if ('refused' in read) return read.refused;
    try {
      const shared = await container();
      const call = readCall(request, { maxDuration, startedAt });
      const { reports, body, fault } = await work(shared, call);
      goOn(shared, call, reports, after);
      return fault === undefined ? json(200, body) : failed(fault);
    } catch (error) {
      return failed(error);
    }
  };
}
