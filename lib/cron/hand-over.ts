import { z } from 'zod';
import { networkCode } from '../net/network-error.ts';
import { readResponseBody } from '../net/response-body.ts';
import type { ServerEnv } from '../services/env.ts';
import { callEndpoint, isTimeout } from './call-endpoint.ts';
import type { CronCall } from './cron-call.ts';

const accepted = z.object({ state: z.enum(['started', 'running']) });

/** A worker responds when its tick starts, not when it ends. */
const responseMs = 3_000;

/** `isFault`: a worker is set and should have accepted the tick. */
export type HandOver = { state: 'started' | 'running' } | { refused: string; isFault: boolean };

/**
 * Asks the worker to tick a queue with `POST /ticks/:queue`. `refused` says why the worker did not confirm; it may have started the tick all the
 * same. Never throws.
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
    const headers = { scheduler, slot, schedule, path };
    const response = await callEndpoint(url, headers, { secret: worker.secret, timeoutMs: responseMs });
    const body = accepted.safeParse((await readResponseBody(response.body)).body);
    if (response.status === 202 && body.success) return { state: body.data.state };
    return { refused: `the worker answered ${response.status}`, isFault: true };
  } catch (error) {
    const code = networkCode((error as Error).cause);
    const refused = isTimeout(error)
      ? `the worker did not answer within ${responseMs / 1_000} s`
      : `the worker could not be reached${code ? ` (${code})` : ''}`;
    return { refused, isFault: true };
  }
}
