import { systemClock } from '../engine/ports/clock.ts';
import type { After } from '../http/api-route.ts';
import { requireCronSecret } from '../http/auth/cron-secret.ts';
import { respond } from '../http/error-response.ts';
import { type QuerySchema, readQuery } from '../http/query.ts';
import { getServices, type Services } from '../services/services.ts';
import { scheduleContinuation } from './continuation.ts';
import { type CronCall, readCall } from './cron-call.ts';
import type { CronHandler } from './cron-handler.ts';
import type { CronEndpoint } from './handlers/find-endpoint.ts';

export interface CronRouteOptions {
  /** The route's execution limit, in seconds. */
  maxDuration: number;
  /** Next's `after`, which starts continuations. Without it, rows that are left wait for the next slot. */
  after?: After;
}

/**
 * A cron endpoint: GET for Vercel Cron, POST for other schedulers. 200 with the handler's report, 400 for an unknown query parameter, 401
 * without `CRON_SECRET`, 503 with the settings to make or the seconds to wait.
 */
export function cronRoute(
  { handler, query }: Pick<CronEndpoint, 'handler' | 'query'>,
  options: CronRouteOptions,
) {
  return (request: Request): Promise<Response> =>
    answerCron(request, query, options.maxDuration, async (call) =>
      runHandler(handler, await getServices(), call, options.after),
    );
}

/** Authenticates a scheduler's call, checks its query, and responds with the result or error of `run`. */
export function answerCron(
  request: Request,
  query: QuerySchema,
  maxDuration: number,
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
