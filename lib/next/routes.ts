import { after } from 'next/server';
import { answerApi } from '../api/answer-api.ts';
import { cronRoute as cronEndpointRoute } from '../cron/cron-route.ts';
import { queueEndpoint } from '../cron/handlers/find-endpoint.ts';
import type { AnyQueue } from '../queues/find-queue.ts';

interface MountOptions {
  /** The `maxDuration` that the file exports, in seconds. Next reads it only as a number in that file. */
  maxDuration: number;
}

type Route = (request: Request) => Promise<Response>;
type CatchAllRoute = (
  request: Request,
  context: { params: Promise<{ path?: string[] }> },
) => Promise<Response>;

/**
 * Returns the routes of a file `app/…/[...path]/route.ts`. They serve the API, the webhooks, the health check and the cron paths of the app's
 * queues, `cron/<queue>`. The app is a parameter so that the file imports its definition.
 */
export function routes(
  _app: { queues: readonly AnyQueue[] },
  { maxDuration }: MountOptions,
): Record<'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', CatchAllRoute> {
  const answer: CatchAllRoute = async (request, { params }) =>
    answerApi(request, (await params).path ?? [], { after, maxDuration });
  return { GET: answer, POST: answer, PUT: answer, PATCH: answer, DELETE: answer };
}

/**
 * Returns the routes of a file that ticks one queue, or one partition of it. Such a file is needed only to pin a queue to a region, or to give it a
 * function of its own, which loads nothing else.
 */
export function cronRoute(
  queue: AnyQueue,
  { maxDuration, partition }: MountOptions & { partition?: string },
): Record<'GET' | 'POST', Route> {
  const tick = cronEndpointRoute(queueEndpoint(queue, partition), { maxDuration, after });
  return { GET: tick, POST: tick };
}
