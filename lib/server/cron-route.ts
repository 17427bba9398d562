import { systemClock } from '../engine/clock';
import type { Queue } from '../engine/queue';
import { container } from './container';
import { accessEnv, type ServerEnv } from './env';
import { failed } from './failure';
import { json, problem } from './respond';
import { bearerToken, secretsEqual } from './secrets';
import { readClock, readSlot } from './slot';
import { tickPartition } from './tick-partition';

/** Why a call of a cron endpoint is refused; null when it bears the secret. */
export function refuseCron(request: Request): Response | null {
  const { cronSecrets } = accessEnv();
  if (cronSecrets.length === 0) {
    return problem(503, 'not_configured', 'CRON_SECRET is not set: nothing runs until it is', {
      variables: ['CRON_SECRET'],
    });
  }
  const token = bearerToken(request);
  // Every secret is compared, so that the time tells nothing about which one it was.
  const matches = token === null ? [] : cronSecrets.filter((secret) => secretsEqual(token, secret));
  return matches.length > 0
    ? null
    : problem(401, 'unauthorised', 'send "Authorization: Bearer <CRON_SECRET>"');
}

/**
 * The handler of a queue's cron endpoint: one tick a call. `maxDuration` is the route's, in seconds; `partition` the part of
 * the queue that is its own (`main`).
 *
 * 200 with the `TickReport` (`skipped` where another tick is running), 401 without the secret, 503 with what to set or when to come
 * again.
 */
export function cronRoute<Row, Deps>(
  queue: Queue<Row, Deps, ServerEnv>,
  { maxDuration, partition }: { maxDuration: number; partition?: string },
) {
  return async (request: Request): Promise<Response> => {
    const startedAt = systemClock.now();
    const refused = refuseCron(request);
    if (refused) return refused;
    try {
      const report = await tickPartition(queue, await container(), {
        partition,
        maxDuration,
        startedAt,
        clockName: readClock(request.headers),
        slot: readSlot(request.headers, Date.now()),
      });
      return json(200, report);
    } catch (error) {
      return failed(error);
    }
  };
}
