import { z } from 'zod';
import { systemClock } from '../engine/ports/clock.ts';
import { requireCronSecret } from '../http/auth/cron-secret.ts';
import { respond } from '../http/error-response.ts';
import { noQuery, type QuerySchema, readQuery } from '../http/query.ts';
import { getServices, type Services } from '../services/services.ts';
import { type After, scheduleContinuation } from './continuation.ts';
import { type CronCall, readCall } from './cron-call.ts';
import type { CronHandler } from './cron-handler.ts';

/** The query of an endpoint that ticks all partitions with due rows: `partition` names one of them. */
export const partitionQuery = z.strictObject({ partition: z.string().optional() });

export interface CronRouteOptions {
  /** The route's execution limit, in seconds. */
  maxDuration: number;
  /** Next's `after`, which starts continuations. Without it, rows that are left wait for the next slot. */
  after?: After;
  /** The query that the endpoint takes; none unless given. */
  query?: QuerySchema;
}

/**
 * A cron endpoint: GET for Vercel Cron, POST for other schedulers. 200 with the handler's report, 400 for an unknown query parameter, 401
 * without `CRON_SECRET`, 503 with the settings to make or the seconds to wait.
 */
export function cronRoute(handler: CronHandler, options: CronRouteOptions) {
  return (request: Request): Promise<Response> =>
    answerCron(request, options, async (call) =>
      runHandler(handler, await getServices(), call, options.after),
    );
}

/** Authenticates a scheduler's call, checks its query, and responds with the result or error of `run`. */
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

/** Runs the handler and schedules a continuation if rows are left. Returns the body; throws the handler's `fault` last. */
export async function runHandler(
  handler: CronHandler,
  services: Services,
  call: CronCall,
  after: After | undefined,
): Promise<object> {
  const { reports, body, fault } = await handler(services, call);
  scheduleContinuation(services, call, reports, after);
  if (fault !== undefined) throw fault;
  return body;
}
