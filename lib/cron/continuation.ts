import type { TickReport } from '../engine/tick-report.ts';
import type { After } from '../http/api-route.ts';
import type { Services } from '../services/services.ts';
import { callEndpoint, fetchFault, isTimeout } from './call-endpoint.ts';
import type { CronCall } from './cron-call.ts';

/**
 * How long this function waits for the response of the continuation. The response takes as long as a tick, and a function that waits is billed
 * or killed meanwhile. A function continues after its caller has gone, unless vercel.json sets `supportsCancellation`.
 */
const responseMs = 3_000;

/**
 * Starts the next continuation if a report says that rows are left. It calls the same endpoint, which runs in a function of its own. The queues'
 * `max_continuations` bounds how many follow. The lock also ends a run, because a continuation that finds another tick running is skipped. A lost
 * call does no harm: the next slot's tick claims the rows. Returns whether a continuation was scheduled. Never throws.
 */
export function scheduleContinuation(
  { env, log }: Pick<Services, 'env' | 'log'>,
  call: CronCall,
  reports: TickReport[],
  after: After | undefined,
): boolean {
  const [secret] = env.cronSecrets;
  const wanted = reports.some(
    (report) => hasMore(report) && call.continuation < (report.maxContinuations ?? 0),
  );
  if (!wanted || !after || secret === undefined) return false;
  const next = { path: call.path, runId: call.runId, continuation: call.continuation + 1 };
  const logFault = (error: unknown) =>
    log.warn(
      { ...next, fault: fetchFault(error) },
      'a continuation could not be started; its rows wait for the next slot',
    );
  try {
    after(() => startContinuation({ ...call, ...next }, env.selfUrl, secret).catch(logFault));
    return true;
  } catch (error) {
    logFault(error);
    return false;
  }
}

/** Calls the endpoint. Throws if it cannot be reached, or responds with an error within `responseMs`. */
async function startContinuation(
  { path, scheduler, slot, schedule, continuation, runId }: CronCall,
  selfUrl: string,
  secret: string,
): Promise<void> {
  const url = new URL(selfUrl);
  const [pathname = '', query = ''] = path.split('?');
  // The path is appended, not resolved, so no path can send the secret to another host.
  url.pathname = url.pathname.replace(/\/$/, '') + pathname;
  url.search = query;
  try {
    const headers = { scheduler, slot, schedule, continuation, runId };
    const response = await callEndpoint(url, headers, { secret, timeoutMs: responseMs });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`the endpoint responded with ${response.status}`);
  } catch (error) {
    if (!isTimeout(error)) throw error;
  }
}

/**
 * Whether rows are left that a continuation could start now: the tick ended by its budget or batch limit. A tick that started none has no
 * continuation, because that could loop.
 */
export function hasMore({ ended, counts, nextDueInMs }: TickReport): boolean {
  const gotSomewhere = counts.claimed > counts.released;
  return (ended === 'budget' || ended === 'batch limit') && gotSomewhere && nextDueInMs === 0;
}

/**
 * What these ticks left: whether a continuation would find rows that can start now, and in how many milliseconds the next row falls due, null if none
 * is pending. Rows that are due already and cannot start count as neither: they wait for a slot.
 */
export function leftBy(reports: TickReport[]): { hasMore: boolean; nextDueInMs: number | null } {
  const waits = reports.flatMap(({ nextDueInMs }) => (nextDueInMs ? [nextDueInMs] : []));
  return { hasMore: reports.some(hasMore), nextDueInMs: waits.length > 0 ? Math.min(...waits) : null };
}
