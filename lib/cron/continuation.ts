import { hasMore, type TickReport } from '../engine/tick-report';
import type { Services } from '../services/services';
import { callEndpoint, fetchFault, isTimeout } from './call-endpoint';
import type { CronCall } from './cron-call';

/** Next's `after`: does something once the answer is out, within the same function's time. */
export type After = (task: () => Promise<void>) => void;

/**
 * How long the next call's answer is waited for. It takes as long as a tick, and whoever waits for it is billed, or killed, meanwhile: a
 * function goes on when its caller has gone, unless it asks not to (`supportsCancellation` in vercel.json).
 */
const holdMs = 3_000;

/**
 * Goes on with what is due where a call has ended: the same endpoint is called with the next continuation, in a function of its own. Bounded by the
 * queues' `max_continuations`, and by the lock: a continuation that finds another tick at work ends the run. Nothing depends on it: where the call is
 * lost, the next slot goes on. Answers whether there is a next continuation. Never throws.
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
  const report = (error: unknown) =>
    log.warn(
      { ...next, fault: fetchFault(error) },
      'the next continuation was not started; the next slot goes on',
    );
  try {
    after(() => startContinuation({ ...call, ...next }, env.selfUrl, secret).catch(report));
    return true;
  } catch (error) {
    report(error);
    return false;
  }
}

/** Throws what was wrong with an answer that came at once. */
async function startContinuation(
  { path, scheduler, slot, schedule, continuation, runId }: CronCall,
  selfUrl: string,
  secret: string,
): Promise<void> {
  const url = new URL(selfUrl);
  const [pathname = '', query = ''] = path.split('?');
  // Joined, and not resolved: the secret goes to no other host, whatever the path.
  url.pathname = url.pathname.replace(/\/$/, '') + pathname;
  url.search = query;
  try {
    const said = { scheduler, slot, schedule, continuation, runId };
    const response = await callEndpoint(url, said, { secret, timeoutMs: holdMs });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`it answered ${response.status}`);
  } catch (error) {
    if (!isTimeout(error)) throw error;
  }
}
