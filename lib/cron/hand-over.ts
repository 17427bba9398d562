import { z } from 'zod';
import { readAnswerBody } from '../net/answer-body';
import { networkCode } from '../net/network-error';
import type { ServerEnv } from '../services/env';
import { callEndpoint, isTimeout } from './call-endpoint';
import type { CronCall } from './cron-call';

const accepted = z.object({ state: z.enum(['started', 'running']) });

/** A worker says at once that it has begun, and not when it has ended. */
const answerMs = 3_000;

/** `isFault`: the worker should have taken it. */
export type HandOver = { state: 'started' | 'running' } | { refused: string; isFault: boolean };

/**
 * Asks the worker to tick a queue, `POST /ticks/:queue`. `refused` says why it is not known to do so: it may still have heard. Never throws.
 */
export async function handOver(
  queue: string,
  { scheduler, slot, schedule, path, params }: CronCall,
  worker: ServerEnv['worker'],
): Promise<HandOver> {
  if (!worker) return { refused: 'WORKER_URL is not set', isFault: false };
  if (params.has('partition')) return { refused: 'a worker ticks whole queues', isFault: false };
  try {
    const url = new URL(`/ticks/${queue}`, worker.url);
    const said = { scheduler, slot, schedule, path };
    const response = await callEndpoint(url, said, { secret: worker.secret, timeoutMs: answerMs });
    const body = accepted.safeParse((await readAnswerBody(response)).body);
    if (response.status === 202 && body.success) return { state: body.data.state };
    return { refused: `the worker answered ${response.status}`, isFault: true };
  } catch (error) {
    const code = networkCode((error as Error).cause);
    const refused = isTimeout(error)
      ? `the worker did not answer within ${answerMs / 1_000} s`
      : `the worker could not be reached${code ? ` (${code})` : ''}`;
    return { refused, isFault: true };
  }
}
